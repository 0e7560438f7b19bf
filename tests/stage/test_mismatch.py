"""Inputs that are each in order but don't belong together are refused before any work, in one sentence."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import judges
from imdm.data.blocks import Dataset
from imdm.data.tokenizer import train_bpe
from imdm.network.checkpoint import save_network
from networks import small_network
from script import run


def stage(name: str, out: Path, **inputs: Path | str) -> subprocess.CompletedProcess[str]:
    """Run a stage with these inputs."""
    flags = [part for flag, value in inputs.items() for part in (f"--{flag}", value)]
    return run(name, *flags, "--out", out, sets=["conditional.scored_tokens=8"])


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three complete sets of inputs: one, one of another vocabulary, and one of another length."""
    folder = tmp_path_factory.mktemp("projects")
    foreign = train_bpe(judges.TEXT[:1] * 4, 280)
    with pytest.MonkeyPatch.context() as patch:
        make(folder / "own")
        make(folder / "vocabulary", foreign)
        patch.setattr(judges, "LENGTH", 10)
        make(folder / "length")
    return {name: folder / name for name in ("own", "vocabulary", "length")}


def make(folder: Path, vocabulary=None) -> None:
    data = Dataset.open(judges.make_dataset(folder, vocabulary))
    judges.make_judge(folder / "judge", vocabulary)
    sizes = dict(vocab_size=data.vocab_size, mask_id=data.mask_id, seq_len=data.seq_len, tokenizer_sha256=data.tokenizer_sha256)
    save_network(folder / "model.safetensors", small_network(**sizes, mask="single"))
    dataset, model = folder / "dataset.json", folder / "model.safetensors"
    assert stage("reference", folder / "reference", data=dataset, judge=folder / "judge/judge.json").returncode == 0
    assert stage("couple", folder / "couplings", data=dataset, teacher=model).returncode == 0
    assert stage("sample", folder / "samples", model=model).returncode == 0


FILES = {
    "data": "dataset.json",
    "couplings": "couplings/couplings.safetensors",
    "judge": "judge/judge.json",
    "reference": "reference/reference.json",
    "samples": "samples/samples.safetensors",
} | dict.fromkeys(("teacher", "init", "model"), "model.safetensors")
INPUTS = {
    "couple": ("data", "teacher"),
    "sdtt": ("data", "teacher"),
    "di4c": ("data", "teacher"),
    "finetune": ("data", "init"),
    "complete": ("data", "model"),
    "redi": ("couplings", "init"),
    "reference": ("data", "judge"),
    "score": ("data", "judge", "reference", "samples"),
    "controls": ("data", "judge", "reference"),
    "frontier": ("data", "judge", "model"),
}
CASES = [(name, odd, how) for name, flags in INPUTS.items() for odd in flags[1:] for how in ("vocabulary", "length")]
CASES = [(name, odd, how) for name, odd, how in CASES if how == "vocabulary" or odd != "judge"]  # it reads texts of any length


@pytest.mark.parametrize(("name", "odd", "how"), CASES)
def test_what_does_not_belong_together_is_refused(name, odd, how, projects, tmp_path):
    inputs = {flag: projects[how if flag == odd else "own"] / FILES[flag] for flag in INPUTS[name]}
    more = {"round": "1"} if name in ("sdtt", "di4c") else {}
    done = stage(name, tmp_path / "out", **inputs, **more)
    said = done.stderr.strip().splitlines()
    assert done.returncode == 2 and len(said) == 1 and said[0].startswith(f"{name}: ") and "; " in said[0]
    assert not list(tmp_path.iterdir())
