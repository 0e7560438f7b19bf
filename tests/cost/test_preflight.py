"""What the preflight finds missing, and its script."""

from __future__ import annotations

import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

import preflight as script
from checkout import ROOT
from hand_made import READS, estimated, experiment
from imdm.cost import ready
from imdm.params import load_params
from imdm.stage.gpus import find_gpu
from script import MICRO

# What is missing


def test_gpus_that_are_not_here():
    assert not list(ready.gpus(2, 2)) and "3 GPUs" in next(ready.gpus(2, 3)).what


def test_packages_are_looked_up(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["torch>=2", "no-such-package>=1,<2"]\n')
    (missing,) = ready.packages(tmp_path)
    assert missing.what == "Python packages no-such-package" and "requirements.lock" in missing.remedy
    assert not list(ready.packages(ROOT))


def test_sources_that_are_not_here(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    params = load_params(ROOT / "presets/owt.yaml", ["corpus.path=texts/*.parquet"])
    checkpoint, corpus, hub = ready.External(params, tmp_path).missing()
    assert "sdtt7-di4c2.ckpt" in checkpoint.what and "corpus.path" in corpus.what
    for name in ("kuleshov-group/mdlm-owt", "jdeschena/sdtt@baselines_kld_step_70000", "gpt2-large", "corpus.tokenizer (gpt2)"):
        assert name in hub.what

    for name, revision in (("jdeschena--sdtt", "baselines_kld_step_70000"), ("kuleshov-group--mdlm-owt", "main")):
        refs = tmp_path / f"cache/hub/models--{name}/refs"
        refs.mkdir(parents=True)
        (refs / revision).write_text("0" * 40)
    for file in ("checkpoints/sdtt7-di4c2.ckpt", "texts/a.parquet", "data/openwebtext-per_batch-1024/dataset.json"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (hub,) = ready.External(params, tmp_path).missing()
    assert hub.what.endswith("for judge.model (gpt2-large)")


@pytest.mark.parametrize(
    "change, what, remedy",
    [
        ("corpus={name: files, path: texts/*}", "b.pdf is none of .txt, .txt.gz, .jsonl, .jsonl.gz", "rename it"),
        ("corpus={name: openwebtext, path: texts/a.txt}", "a.txt is none of .tar", "rename it"),
        ("judge={stage: load_judge, model: texts}", "judge.model: texts holds no config.json", "causal LM"),
        (
            "teacher={stage: load_mdlm, checkpoint: ./texts}",
            "holds no .safetensors, .ckpt, .pt, .bin file",
            "name the checkpoint's one file",
        ),
    ],
)
def test_what_a_stage_would_refuse(change, what, remedy, tmp_path):
    (tmp_path / "texts").mkdir()
    for name in ("a.txt", "b.pdf"):
        (tmp_path / "texts" / name).write_text("text")
    (missing,) = ready.External(load_params(MICRO, [change]), tmp_path).missing()
    assert what in missing.what and remedy in missing.remedy


def test_a_corpus_is_fetched_unless_it_is_here(tmp_path):
    params = load_params(ROOT / "presets/lm1b.yaml")
    assert ready.External(params, tmp_path).corpus_bytes() == 6e9
    assert ready.External(load_params(ROOT / "presets/lm1b.yaml", ["corpus.path=texts/*"]), tmp_path).corpus_bytes() == 0


@pytest.mark.parametrize(
    "change, stage, batch",
    [
        ("runtime.micro_batch=256", "redi", "runtime.micro_batch"),
        ("sampling.batch_size=100000", "sample", "sampling.batch_size"),
        ("audit.batch_size=8192", "audit", "audit.batch_size"),
        ("scoring.batch_size=1024", "frontier", "scoring.batch_size"),
    ],
)
def test_batches_that_do_not_fit(change, stage, batch):
    params = load_params(ROOT / "presets/owt.yaml", [change, "sampling.count=100000", "keyed.batch_size=1", "audit.pairs=8192"])
    (missing,) = ready.memory(estimated(params), find_gpu("h100"))
    assert missing.what.startswith(f"GPU memory: {stage}") and missing.remedy == f"lower {batch}"


@pytest.mark.parametrize("preset, gpu", [("lm1b", "h100"), ("owt", "h100"), ("owt-860m", "h100"), ("single-gpu", "rtx-4090")])
def test_presets_fit_on_the_gpus_that_they_name(preset, gpu):
    assert not list(ready.memory(estimated(load_params(ROOT / f"presets/{preset}.yaml"), gpu), find_gpu(gpu)))


def test_batches_that_gpus_cannot_share():
    def missing(devices: int) -> list[str]:
        params = load_params(ROOT / "presets/owt.yaml", [f"runtime.gpus={devices}"])
        return [item.what for item in ready.shares({"sdtt", "redi", "sample"}, params, READS)]

    assert not missing(64) and missing(256) == ["equal parts of sdtt.batch_size = 128 for 256 GPUs"]


def test_disk_space(tmp_path, monkeypatch):
    monkeypatch.setattr(ready.shutil, "disk_usage", lambda _: SimpleNamespace(free=5e9))
    assert not list(ready.disk(4e9, tmp_path))
    assert next(ready.disk(6e9, tmp_path)).what == "6 GB of disk (5 GB are free)"


# The script


@pytest.fixture
def by_hand(monkeypatch):
    """The script on jobs made by hand, which need no dry run."""
    monkeypatch.setattr(script, "jobs_of", lambda params, target: experiment(params))


def test_what_is_missing_decides_the_exit_code(by_hand, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert script.main(["--params", str(MICRO)]) == 0
    assert "Nothing is missing." in capsys.readouterr().out
    assert script.main(["--params", str(ROOT / "presets/lm1b.yaml"), "--gpu", "h100", "--tflops", "150"]) == 1
    printed = capsys.readouterr().out
    assert "Rate: 150 TFLOP/s" in printed and "- huggingface.co can't be reached" in printed


def test_without_a_gpu_the_hours_are_those_of_this_machine(by_hand, capsys, monkeypatch):
    monkeypatch.setattr("imdm.stage.gpus.visible_gpus", list)
    assert script.main(["--params", str(MICRO), "--gpus", "2"]) == 0
    printed = capsys.readouterr().out
    assert "core h" in printed and " on 2 cores" in printed and "GPU" not in printed
    sustained = float(re.search(r"Rate: (\d+) GFLOP/s sustained on one core of this machine", printed)[1])
    assert 1 < sustained < 1000


def test_the_default_experiment_on_a_gpu_elsewhere(capsys):
    """By the workflow's own jobs: all that `snakemake all` builds, the keyed student among them."""
    assert script.main(["--target", "all", "--gpu", "h100"]) == 0
    stages = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line and line[0].islower()}
    assert {"tokenize_pack", "pretrain", "sdtt", "redi", "keyed", "sample", "score", "frontier"} <= stages


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--gpu", "abacus"], "--gpu abacus is not known"),
        (["--gpus", "0"], "--gpus and --tflops must be positive"),
        (["--tflops", "nan"], "--gpus and --tflops must be positive"),
        (["--gpus", "3", "--set", "runtime.gpus=4"], "--gpus 3 must be 4 or more"),
        (["--set", "corpus.tokenizer=some/tokenizer"], "run stages/tokenize_pack.py first"),
        (["--set", "noise_dims=3"], "did you mean noise_dim?"),
    ],
)
def test_mistakes_end_with_a_sentence(arguments, sentence, by_hand, capsys):
    assert script.main(["--params", str(MICRO), *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_torch_is_not_imported():
    code = (
        "import sys, preflight, hand_made; preflight.jobs_of = lambda params, target: hand_made.experiment(params);"
        f"preflight.main(['--params', {str(MICRO)!r}]); sys.exit('torch' in sys.modules)"
    )
    paths = {"PYTHONPATH": f"{ROOT / 'stages'}:{ROOT / 'tests'}"}
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=paths, capture_output=True).returncode == 0
