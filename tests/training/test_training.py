"""Trainings: parts of a batch, threads, and what a training writes; test_interruption.py stops them."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from checkout import ROOT
from corpora import few_words
from imdm.network.checkpoint import read_checkpoint
from imdm.network.sizes import Sizes, step_flops
from imdm.params import Pretrain
from imdm.stage.device import bfloat16_peak
from script import command, made, run
from trainings import SETS, killed

WHOLE = ["pretrain.optimizer=adamw", "pretrain.steps=12", "pretrain.warm_start=4", "pretrain.batch_size=8"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return few_words(tmp_path_factory.mktemp("corpus")).path


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory) -> Path:
    return made("pretrain", tmp_path_factory.mktemp("undisturbed") / "teacher", "--data", data, sets=SETS)


@pytest.fixture(scope="module")
def whole_batch(data, tmp_path_factory) -> Path:
    return made("pretrain", tmp_path_factory.mktemp("whole") / "teacher", "--data", data, "--variant", "imdm", sets=WHOLE)


@pytest.fixture(scope="module")
def on_two_devices(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("two") / "teacher"
    subprocess.run(command("pretrain", "--data", data, "--out", out, sets=[*SETS, "runtime.gpus=2"]), check=True)
    return out


def same(folder: Path, other: Path) -> None:
    """Weights and losses of two trainings are equal but for rounding."""
    one, two = (load_file(place / "model.safetensors") for place in (folder, other))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-5)
    losses = [[float(row["loss"]) for row in csv.DictReader((place / "train_log.csv").open())] for place in (folder, other)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_passes_over_parts_of_a_batch_train_the_same(data, whole_batch, tmp_path):
    sets = [*WHOLE, "runtime.micro_batch=3"]  # passes of two, the largest equal ones
    same(whole_batch, made("pretrain", tmp_path / "teacher", "--data", data, "--variant", "imdm", sets=sets))


@pytest.mark.slow
def test_two_devices_train_the_same_in_parts(data, whole_batch, tmp_path):
    sets = [*WHOLE, "runtime.gpus=2", "runtime.micro_batch=2"]
    subprocess.run(command("pretrain", "--data", data, "--variant", "imdm", "--out", tmp_path / "teacher", sets=sets), check=True)
    same(whole_batch, tmp_path / "teacher")


@pytest.mark.slow
def test_two_nodes_train_the_same(data, whole_batch, tmp_path):
    """Two processes that know each other by the variables that Lightning reads on several machines."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sets = [*WHOLE, "runtime.nodes=2", "runtime.gpus=1"]
    words = command("pretrain", "--data", data, "--variant", "imdm", "--out", tmp_path / "teacher", sets=sets)
    place = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    nodes = [subprocess.Popen(words, env=place | {"NODE_RANK": str(rank)}, stderr=subprocess.DEVNULL) for rank in (0, 1)]
    assert [node.wait(120) for node in nodes] == [0, 0]
    same(whole_batch, tmp_path / "teacher")


SLOW_SAVE = """
import os, pathlib, sys, time
sys.path[:0] = [{stages!r}]
import _src, pretrain, torch
from imdm.stage.job import run_stage

saved = pathlib.Path({saved!r})

def save(state, file, save=torch.save):
    time.sleep(8)
    save(state, file)
    saved.touch()

torch.save = save
if __name__ == "__main__":
    try:
        sys.exit(run_stage(pretrain.__file__, pretrain.__doc__, pretrain.READS, pretrain.arguments, pretrain.run))
    finally:
        # Two processes share the pipe, and only one write of a line keeps it in one piece.
        os.write(1, b"left after the save\\n" if saved.exists() else b"left before the save\\n")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("number", "everyone"), [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, True)])
def test_a_stop_of_two_devices_waits_for_a_slow_save(number, everyone, data, on_two_devices, tmp_path):
    """Of the first process alone, as by `kill`, or of all, as by a cluster or Ctrl-C."""
    script = tmp_path / "slow.py"
    script.write_text(SLOW_SAVE.format(stages=str(ROOT / "stages"), saved=str(tmp_path / "saved")))
    sets = [*SETS, "runtime.gpus=2", "runtime.checkpoint_seconds=1000"]
    words = command("pretrain", "--data", data, "--out", tmp_path / "teacher", sets=sets)
    words[1] = str(script)
    log = tmp_path / "teacher.partial/train_log.csv"
    process = subprocess.Popen(words, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (log.exists() and log.read_text().count("\n") > 3):
        time.sleep(0.02)
    (os.killpg if everyone else os.kill)(process.pid, number)
    out, err = process.communicate(timeout=300)  # until the pipes are closed, so the other process has ended too
    assert process.returncode == 143 and "stopped at step" in err, err
    assert out.splitlines() == 2 * ["left after the save"]
    assert not (tmp_path / "teacher").exists()
    rows = log.read_text().splitlines()
    subprocess.run(command("pretrain", "--data", data, "--out", tmp_path / "teacher", sets=sets), check=True)
    assert json.loads((tmp_path / "teacher/meta.json").read_text())["resumed"]
    assert (tmp_path / "teacher/train_log.csv").read_text().splitlines()[: len(rows)] == rows  # none of them was done again
    assert (tmp_path / "teacher/model.safetensors").read_bytes() == (on_two_devices / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["pretrain.batch_size=3", "runtime.gpus=2"], "batch_size = 3 can't be divided by 2 devices"),
        ([*SETS, "runtime.nodes=2"], "runtime.nodes = 2 wants a process on each node"),
    ],
)
def test_a_batch_that_devices_cannot_share_and_nodes_without_what_starts_them(sets, words, data, tmp_path):
    done = run("pretrain", "--data", data, "--out", tmp_path / "teacher", sets=sets)
    assert done.returncode == 2 and words in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_two_threads_give_the_same_bytes_twice_and_after_a_kill(data, tmp_path):
    sets = [*SETS, "runtime.threads=2", "network.hidden_size=64", "pretrain.batch_size=32"]
    one, other = (command("pretrain", "--data", data, "--out", tmp_path / name, sets=sets) for name in ("one", "other"))
    killed(other, tmp_path / "other.partial")
    for words in (one, other):
        subprocess.run(words, check=True)
    assert (tmp_path / "one/model.safetensors").read_bytes() == (tmp_path / "other/model.safetensors").read_bytes()


@pytest.mark.slow
def test_a_checkpoint_of_an_older_layout_is_put_aside(data, undisturbed, tmp_path):
    checkpoint = killed(command("pretrain", "--data", data, "--out", tmp_path / "teacher", sets=SETS), tmp_path / "teacher.partial")
    torch.save({"state_dict": {}, "global_step": 7}, checkpoint)
    done = run("pretrain", "--data", data, "--out", tmp_path / "teacher", sets=SETS)
    assert done.returncode == 0 and "last.ckpt was written by an older version; the training starts anew." in done.stderr
    assert (tmp_path / "teacher/model.safetensors").read_bytes() == (undisturbed / "model.safetensors").read_bytes()


def test_one_device_needs_neither_lightning_nor_transformers():
    """Their imports take longer than the rest of a training's start."""
    code = "import sys, imdm.training.pretrain, imdm.distill.sdtt, imdm.distill.redi, imdm.distill.di4c; "
    code += "sys.exit(bool({'lightning', 'transformers', 'torch._dynamo', 'pandas', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT / "src")}).returncode == 0


def test_what_a_training_writes(undisturbed):
    meta = json.loads((undisturbed / "meta.json").read_text())
    assert set(meta["outputs"]) == {"model.safetensors", "validation.json", "train_log.csv"}
    assert meta["parameters"]["pretrain"]["steps"] == 60 and meta["parameters"]["seeds.train"] == 0
    assert meta["seconds"] > 0 and meta["peak_memory_mib"]["host"] > 0 and meta["libraries"]["torch"]
    assert meta["metrics"]["precision"] == "float32" and meta["metrics"]["tokens_per_second"] > 0
    teacher = json.loads((undisturbed / "validation.json").read_text())
    assert 1 < teacher["low"] < teacher["valid_perplexity"] < teacher["high"]
    rows = list(csv.DictReader((undisturbed / "train_log.csv").open()))
    assert int(rows[-1]["step"]) == 60 and float(rows[-1]["loss"]) < float(rows[0]["loss"])
    # Operations and tokens are counted over the same time: 10 of 60 steps have logits at all positions, 50 at half of them.
    shape = Sizes(read_checkpoint(undisturbed / "model.safetensors")[0])
    settings = Pretrain(steps=60, batch_size=8, warm_start=10)
    a_row = (10 * step_flops(shape, settings, 9, 8) + 50 * step_flops(shape, settings, 10, 8)) / (60 * 8)
    measured = meta["metrics"]["gflops_per_second"] * 1e9 / meta["metrics"]["tokens_per_second"] * shape.config.seq_len
    assert measured == pytest.approx(a_row, rel=0.01) and "mfu" not in meta["metrics"]


def test_the_peak_is_that_of_the_gpu_by_name(monkeypatch):
    assert bfloat16_peak(torch.device("cpu")) is None
    found = SimpleNamespace(name="NVIDIA A100-SXM4-80GB", total_memory=85e9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: found)
    assert bfloat16_peak(torch.device("cuda")) == 312e12
    found.name = "some other GPU"
    assert bfloat16_peak(torch.device("cuda")) is None


def test_a_changed_input_is_noticed(data, undisturbed, tmp_path):
    model = undisturbed / "model.safetensors"
    whole = model.read_bytes()
    model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        done = run("initialize", "--teacher", model, "--variant", "imdm", "--out", tmp_path / "adopted")
    finally:
        model.write_bytes(whole)
    assert done.returncode == 2 and "model.safetensors is damaged" in done.stderr
    assert not list(tmp_path.iterdir())
