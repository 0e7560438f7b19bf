"""The harness: a user's mistake is exit code 2, one sentence that names the key or file and nothing half-written; help and progress."""

import argparse
import contextlib
import errno
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from checkout import ROOT
from corpora import few_words
from imdm.network.checkpoint import save_network
from imdm.params import load_params
from imdm.stage.job import Job
from networks import small_network
from script import MICRO, run

STAGES = sorted(path.stem for path in (ROOT / "stages").glob("[!_]*.py"))


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    said = done.stderr.strip().splitlines()[-1]
    assert all(word in said for word in words), said


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


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_tells_what_is_left(terminal, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    job = Job("couple", argparse.Namespace(), load_params(MICRO), tmp_path)
    bar = job.progress(12, "row", initial=6)  # half was done before an interruption
    time.sleep(0.1)
    bar.update(3)
    bar.close()
    assert re.search(r"couple: +75%.* 9/12 \[00:\d\d<\d\d:\d\d, ", str(bar))
    assert bar.mininterval == (0.2 if terminal else 30)  # a log is not filled with bars
