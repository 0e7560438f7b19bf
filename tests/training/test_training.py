"""Trainings: parts of a batch, threads, and what a training writes; test_interruption.py stops them."""

import csv
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from imdm.network.checkpoint import read_checkpoint
from imdm.network.sizes import Sizes, next_token_step, training_step
from imdm.stage.device import bfloat16_peak
from script import ROOT, command, run


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A packed corpus of a few hundred words, by the stage itself."""
    folder = tmp_path_factory.mktemp("corpus")
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat", "and", "saw", "one", "red", "dog", "run"], 6000)
    text = "\n\n".join(" ".join(words[i : i + 12]) for i in range(0, len(words), 12))
    (folder / "text.txt").write_text(text)
    sets = ["corpus.name=files", f"corpus.path={folder}/text.txt", "corpus.vocab_size=280"]
    done = run("tokenize_pack", "--out", folder / "data", sets=sets)
    assert done.returncode == 0, done.stderr
    return folder / "data" / "dataset.json"


SETS = ["pretrain.steps=60", "pretrain.warm_start=10", "runtime.checkpoint_seconds=0.001", "network.dropout=0.1"]


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "teacher"
    done = run("pretrain", "--data", data, "--out", out, sets=SETS)
    assert done.returncode == 0, done.stderr
    return out


WHOLE = ["pretrain.steps=12", "pretrain.warm_start=4", "pretrain.batch_size=8"]


@pytest.fixture(scope="module")
def whole_batch(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "teacher"
    done = run("pretrain", "--data", data, "--variant", "imdm", "--out", out, sets=WHOLE)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize(
    "parts",
    [
        ["runtime.micro_batch=3"],  # passes of two, the largest equal ones
        ["runtime.devices=2"],
        ["runtime.devices=2", "runtime.micro_batch=2"],
    ],
)
def test_a_batch_in_parts_trains_the_same(parts, data, whole_batch, tmp_path):
    out = tmp_path / "teacher"
    done = run("pretrain", "--data", data, "--variant", "imdm", "--out", out, sets=[*WHOLE, *parts])
    assert done.returncode == 0, done.stderr
    one, other = (load_file(folder / "model.safetensors") for folder in (whole_batch, out))
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=1e-3, atol=1e-5)
    losses = [[float(row["loss"]) for row in csv.DictReader((folder / "train_log.csv").open())] for folder in (whole_batch, out)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_two_nodes_train_the_same(data, whole_batch, tmp_path):
    """Two processes that know each other by the variables that Lightning reads on several machines."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = command(
        "pretrain",
        "--data",
        data,
        "--variant",
        "imdm",
        "--out",
        tmp_path / "teacher",
        sets=[*WHOLE, "runtime.nodes=2", "runtime.devices=1"],
    )
    place = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    nodes = [subprocess.Popen(words, env=place | {"NODE_RANK": str(rank)}, stderr=subprocess.DEVNULL) for rank in (0, 1)]
    assert [node.wait(120) for node in nodes] == [0, 0]
    one, other = (load_file(folder / "model.safetensors") for folder in (whole_batch, tmp_path / "teacher"))
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=1e-3, atol=1e-5)


def test_a_batch_that_devices_cannot_share(data, tmp_path):
    done = run("pretrain", "--data", data, "--out", tmp_path / "teacher", sets=["pretrain.batch_size=3", "runtime.devices=2"])
    assert done.returncode != 0 and "batch_size = 3 can't be divided by 2 devices" in done.stderr


def test_two_threads_give_the_same_bytes_twice_and_after_a_kill(data, tmp_path):
    sets = [*SETS, "runtime.threads=2", "network.hidden_size=64", "pretrain.batch_size=32"]
    folders = [tmp_path / name for name in ("one", "other")]
    assert run("pretrain", "--data", data, "--out", folders[0], sets=sets).returncode == 0
    process = subprocess.Popen(command("pretrain", "--data", data, "--out", folders[1], sets=sets), stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "other.partial" / ".resume" / "last.ckpt"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert run("pretrain", "--data", data, "--out", folders[1], sets=sets).returncode == 0
    assert (folders[0] / "model.safetensors").read_bytes() == (folders[1] / "model.safetensors").read_bytes()


def test_a_checkpoint_of_an_older_layout_is_put_aside(data, undisturbed, tmp_path):
    out = tmp_path / "teacher"
    process = subprocess.Popen(command("pretrain", "--data", data, "--out", out, sets=SETS), stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "teacher.partial" / ".resume" / "last.ckpt"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.wait()
    torch.save({"state_dict": {}, "global_step": 7}, checkpoint)
    done = run("pretrain", "--data", data, "--out", out, sets=SETS)
    assert done.returncode == 0 and "last.ckpt was written by an older version; the training starts anew." in done.stderr
    assert (out / "model.safetensors").read_bytes() == (undisturbed / "model.safetensors").read_bytes()


def logged(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of each value that TensorBoard and DVCLive hold, by logger and name."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,), (live,) = ((folder / "logs" / name).iterdir() for name in ("tensorboard", "dvclive"))
    board, found = EventAccumulator(str(events)).Reload(), {}
    for name in ("loss", "lr"):
        found[f"tensorboard {name}"] = [(event.step, event.value) for event in board.Scalars(name)]
        rows = csv.DictReader((live / "plots" / "metrics" / f"{name}.tsv").open(), delimiter="\t")
        found[f"dvclive {name}"] = [(int(row["step"]), float(row[name])) for row in rows]
    return found


def test_loggers_show_the_rows_of_the_log_after_a_kill_too(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = command("pretrain", "--data", data, "--out", "teacher", sets=[*SETS, "runtime.loggers=[tensorboard,dvclive]"])
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "teacher.partial" / ".resume" / "last.ckpt"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.wait()
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "dvc.yaml").exists()
    rows = list(csv.DictReader((tmp_path / "teacher" / "train_log.csv").open()))
    for name, values in logged(tmp_path).items():
        assert [step for step, _ in values] == [int(row["step"]) for row in rows], name
        assert [value for _, value in values] == pytest.approx([float(row[name.split()[1]]) for row in rows], rel=1e-3)


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
    a_row = (10 * next_token_step(shape, 8) + 50 * training_step(shape, 8)) / (60 * 8)
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
    assert done.returncode == 2
    assert "model.safetensors is damaged" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_foreign_vocabulary_is_refused(data, undisturbed, tmp_path):
    tree = json.loads(data.read_text())
    other = tmp_path / "dataset.json"
    other.write_text(json.dumps(tree | {"vocab_size": 300}))
    done = run("couple", "--data", other, "--teacher", undisturbed / "model.safetensors", "--out", tmp_path / "couplings")
    assert done.returncode == 2 and "vocab_size" in done.stderr and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["dataset.json"]
