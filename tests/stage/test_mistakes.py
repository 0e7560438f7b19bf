"""A user's mistakes: exit code 2, one sentence that names the key or file, nothing half-written."""

import contextlib
import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from checkout import ROOT
from corpora import few_words
from imdm.errors import UserError
from imdm.network.checkpoint import save_network
from imdm.params import load_params, parse_recipe, trained
from networks import small_network
from script import MICRO, run

STAGES = sorted(path.stem for path in (ROOT / "stages").glob("[!_]*.py"))


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    said = done.stderr.strip().splitlines()[-1]
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("nois_dim=64", ["nois_dim is not a parameter", "did you mean noise_dim?"]),
        ("redi.step=3", ["redi.step is not a parameter", "did you mean steps?"]),
        ("sampling.stepz=3", ["sampling.stepz", "did you mean steps?"]),
        ("variants.imdm.noise=1", ["variants.imdm.noise is not a parameter"]),
        ("noise_dim=wide", ["noise_dim = 'wide' is wrong"]),
        ("noise_dim=-1", ["noise_dim = -1 is wrong", "greater than 0"]),
        ("sampling.steps=[1,-2]", ["sampling.steps.1 = -2 is wrong"]),
        ("couplings.steps=0", ["couplings.steps = 0 is wrong"]),
        ("corpus.seq_len=3", ["corpus.seq_len = 3 is wrong"]),
        ("corpus.name=books", ["corpus.name = 'books' is wrong"]),
        ("corpus.name=files", ["corpus: path must be a glob"]),
        ("network.heads=3", ["network.hidden_size must be a multiple of network.heads"]),
        ("compare.recipes=[reedi]", ["'reedi'"]),
        ("compare.recipes=[sdtt9-redi]", ["'sdtt9-redi'", "K up to 1"]),
        ("compare.variants=[imdn]", ["'imdn'", "does not declare"]),
        ("compare.recipes=[imdm/di4c1]", ["imdm/di4c1", "mask: single"]),
        ("compare.recipes=[imdm/keyed]", ["imdm/keyed", "noise_dist: rademacher", "noise_dim of at least 32"]),
        ("keyed.teacher_steps=1", ["keyed.teacher_steps = 1 is wrong"]),
        ("compare.recipes=[public/mdlm]", ["public/mdlm", "public declares nothing"]),
        ("paper.scale=[imdm-s3]", ["paper.scale", "'imdm-s3'"]),
        ("paper.exhibits=[table15]", ["paper.exhibits.0 = 'table15' is wrong"]),
        ("teacher.stage=load_mdlm", ["teacher: checkpoint must be given"]),
        ("judge.stage=load_judge", ["judge: model must be given"]),
        ("conditional.scored_tokens=17", ["conditional.scored_tokens", "at most corpus.seq_len"]),
        ("run=tiny.partial", ["'tiny.partial' ends in .partial or meta.json"]),
        ("run=..", ["run = '..' is wrong"]),
        ("public={a..b: {checkpoint: c}}", ["public.a..b"]),
        ("sdtt.rounds=0", ["sdtt.rounds = 0 is wrong"]),
    ],
)
def test_parameters(override, words):
    with pytest.raises(UserError) as caught:
        load_params(MICRO, [override])
    text = str(caught.value)
    assert all(word in text for word in words), text
    assert "\n" not in text and "the command line" in text


def test_a_mistake_is_blamed_on_where_it_stands(tmp_path):
    (tmp_path / "mine.yaml").write_text("sdtt: {steps: -1}")
    (tmp_path / "other.yaml").write_text("redi: {steps: 3}")
    for files, overrides, place in (
        (["mine.yaml", "other.yaml"], [], f"{tmp_path / 'mine.yaml'}: sdtt.steps"),
        (["mine.yaml"], ["sdtt.steps=0"], "the command line: sdtt.steps = 0"),
        (["other.yaml"], ["compare.recipes=[reedi]"], f"{tmp_path / 'other.yaml'} and the command line: "),
    ):
        with pytest.raises(UserError) as caught:
            load_params([tmp_path / name for name in files], overrides)
        assert str(caught.value).startswith(place)


def test_parameter_files(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load_params(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("run: [")
    with pytest.raises(UserError, match="not valid YAML"):
        load_params(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(UserError, match="must hold a mapping"):
        load_params(tmp_path / "list.yaml")
    with pytest.raises(UserError, match="KEY=VALUE"):
        load_params(MICRO, ["noise_dim"])


@pytest.mark.parametrize(
    ("name", "recipes"),
    [
        ("redi", ["redi"]),
        ("sdtt2", ["sdtt1", "sdtt2"]),
        ("sdtt2-redi", ["sdtt1", "sdtt2", "sdtt2-redi"]),
        ("di4c2", ["di4c1", "di4c2"]),
        ("sdtt1-di4c2", ["sdtt1", "sdtt1-di4c1", "sdtt1-di4c2"]),
        ("scratch", ["scratch"]),
        ("finetune", ["finetune"]),
        ("keyed", ["keyed"]),
        ("sdtt2-keyed", ["sdtt1", "sdtt2", "sdtt2-keyed"]),
    ],
)
def test_recipes(name, recipes):
    assert trained(f"imdm/{name}") == [f"imdm/{recipe}" for recipe in recipes]
    assert parse_recipe(name).parent == (recipes[-2] if len(recipes) > 1 else "teacher")


@pytest.mark.parametrize(
    "name", ["sdtt0", "sdtt", "redi2", "redi-sdtt1", "di4c", "sdtt1-redi-di4c1", "keyed2", "redi-keyed", "teacher", ""]
)
def test_what_is_no_recipe(name):
    assert parse_recipe(name) is None


def test_overrides_reach_a_variant():
    params = load_params(MICRO, ["noise_dim=99", "variants.wide={noise_dim: 7, noise_dist: gaussian}"])
    assert params.mask_settings("imdm").noise_dim == 99 and params.mask_settings("mdlm").mask == "single"
    assert (params.mask_settings("wide").noise_dim, params.mask_settings("wide").noise_dist) == (7, "gaussian")
    with pytest.raises(UserError, match="variants has no 'other'"):
        params.mask_settings("other")


def test_stages_refuse_and_leave_nothing(tmp_path):
    out = tmp_path / "out"
    refused(run("synthetic", "--out", out, sets=["nois_dim=3"]), "nois_dim", "noise_dim")
    (tmp_path / "empty.safetensors").touch()
    (tmp_path / "text.safetensors").write_text("no tensors here")
    for name, words in (("none", "does not exist"), ("empty", "is empty"), ("text", "is truncated")):
        refused(run("sample", "--model", tmp_path / f"{name}.safetensors", "--out", out), f"{name}.safetensors {words}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.safetensors", "text.safetensors"]


@pytest.fixture
def spare():
    """A function that gives this process one more file descriptor, after it had none."""
    limits, held = resource.getrlimit(resource.RLIMIT_NOFILE), []
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 40, limits[1]))
    with contextlib.suppress(OSError):
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    yield lambda: os.close(held.pop())
    for number in held:
        os.close(number)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.fixture
def model(tmp_path):
    """A checkpoint that was sampled once, so that all is imported."""
    save_network(tmp_path / "model.safetensors", small_network())
    assert run("sample", "--model", tmp_path / "model.safetensors", "--out", tmp_path / "first").returncode == 0
    return tmp_path / "model.safetensors"


def test_no_file_descriptors_left(tmp_path, model, spare):
    ends = []
    while 0 not in ends and len(ends) < 40:
        done = run("sample", "--model", model, "--out", tmp_path / "out")
        ends.append(done.returncode)
        if done.returncode:
            refused(done, "Too many open files; raise `ulimit -n`")
            assert not (tmp_path / "out").exists()
        spare()
        spare()  # one more than the failed run may hold open in this process
    assert ends[0] == 2 and ends[-1] == 0, len(ends)


def test_what_can_not_be_read_is_blamed_itself(tmp_path, model, monkeypatch):
    """And not --out, which has nothing to do with it."""
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda *_: False)
        refused(run("sample", "--model", model, "--out", tmp_path / "out"), "can't be read (Permission denied)")

    def fail(path):
        raise OSError(errno.EIO, "Input/output error", path)

    monkeypatch.setattr("imdm.stage.job.verify", fail)
    done = run("sample", "--model", model, "--out", tmp_path / "out")
    refused(done, f"{model} can't be used: Input/output error; correct the path")
    assert not list(tmp_path.glob("out*"))


HELP = """
import contextlib, io, os, runpy, sys, imdm.stage.job
for stage in sys.argv[1:]:
    if os.fork():
        if os.wait()[1]:
            sys.exit(f"stages/{stage}.py --help imports what is heavy, or says too little")
        continue
    sys.argv = ["x", "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
        runpy.run_path(f"stages/{stage}.py", run_name="__main__")
    told = "Example" in shown.getvalue()
    os._exit(not told or bool({"torch", "pandas", "numpy", "transformers", "matplotlib", "lightning", "rich"} & set(sys.modules)))
"""


def test_help_needs_no_heavy_import():
    environment = os.environ | {"PYTHONPATH": "src:stages"}
    done = subprocess.run([sys.executable, "-c", HELP, *STAGES], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def disk(tmp_path):
    """A function that gives a file system of 512 KiB with some mount options."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> Path:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=512k,{options}", "tmpfs", str(place)], capture_output=True)
        if mounted.returncode:
            pytest.skip("mounting a small file system needs root")
        return place

    yield mount
    if place.is_mount():
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk(disk, tmp_path):
    few_words(tmp_path)
    place, sets = disk("rw"), ["corpus.name=files", f"corpus.path={tmp_path}/text.txt"]
    (place / "filler").write_bytes(bytes(500 << 10))
    refused(run("tokenize_pack", "--out", place / "data", sets=sets), "disk/data", "No space left on device")
    assert not (place / "data").exists()


def test_a_read_only_disk(disk):
    place = disk("ro")
    refused(run("tokenize_pack", "--out", place / "data"), "disk/data.partial can't be written", "Read-only file system", "--out")
    assert not list(place.iterdir())
