"""The objective of a training does not depend on what computes it: passes and devices see parts of one batch."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from checkout import ROOT
from imdm.params import Runtime
from imdm.training.devices import OneDevice
from trainings import BLOCKS, STEPS, TRAININGS, gradients


@cache
def whole(name: str) -> dict[str, torch.Tensor]:
    return gradients(name, Runtime(device="cpu"), OneDevice(torch.device("cpu")))


def same(found: dict[str, torch.Tensor], name: str, tolerance: float = 1e-6) -> None:
    wanted = whole(name)
    assert found.keys() == wanted.keys() and max(grad.abs().max() for grad in wanted.values()) > 1e-3
    for parameter, grad in wanted.items():
        torch.testing.assert_close(found[parameter], grad.to(found[parameter].dtype), rtol=tolerance, atol=tolerance, msg=parameter)


@pytest.mark.parametrize("passes", [2, 4])
@pytest.mark.parametrize("name", TRAININGS)
def test_passes_have_the_gradients_of_the_whole_batch(name, passes):
    runtime = Runtime(device="cpu", micro_batch=STEPS["batch_size"] // passes)
    same(gradients(name, runtime, OneDevice(torch.device("cpu"))), name)


def in_two_processes(folder: Path, names: Iterable[str], *options: str) -> None:
    words = [sys.executable, str(ROOT / "tests/trainings.py"), str(folder), *names, "--devices", "2", *options]
    done = subprocess.run(words, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one(tmp_path):
    """In one and in two passes each."""
    in_two_processes(tmp_path, TRAININGS, "--micro-batches", "8", "4")
    for name, most in itertools.product(TRAININGS, (8, 4)):
        same(load_file(tmp_path / f"{name}-{most}.safetensors"), name)


@pytest.mark.slow
def test_two_processes_with_compiled_blocks_have_the_gradients_of_one(tmp_path):
    """In two passes each, so that gradients are also gathered without being exchanged."""
    names = ["pretrain", "sdtt", "keyed"]
    in_two_processes(tmp_path, names, "--micro-batches", "4", "--compile")
    for name in names:
        same(load_file(tmp_path / f"{name}-4.safetensors"), name, 1e-4)


@pytest.mark.parametrize("name", TRAININGS)
def test_a_bfloat16_body_has_nearly_the_gradients_of_float32(name):
    found = gradients(name, Runtime(device="cpu", precision="bfloat16", compile=False), OneDevice(torch.device("cpu")), double=False)
    wanted = whole(name)
    assert found.keys() == wanted.keys() and {grad.dtype for grad in found.values()} == {torch.float32}
    one, other = (torch.cat([grads[key].double().flatten() for key in sorted(wanted)]) for grads in (wanted, found))
    assert 1e-4 < (one - other).norm() / one.norm() < 0.1


@pytest.mark.parametrize("name", [name for name in TRAININGS if name != "warm-start"])
def test_parts_of_a_batch_are_its_rows(name):
    """Data, masks, keys and times of a row depend on its number alone, whichever device and pass it falls to."""
    training = TRAININGS[name]()
    for step in (0, 3):  # of a second epoch
        training.part = 0, 16
        batch, first = training.batch(step), 0
        for count in (8, 4, 4):
            training.part = first, count
            part, rows = training.batch(step), slice(first, first + count)
            assert torch.equal(part.z, batch.z[rows]) and torch.equal(part.x, batch.x[rows]) and torch.equal(part.t, batch.t[rows])
            here = (batch.masked >= first * 5) & (batch.masked < (first + count) * 5)
            assert torch.equal(part.masked, batch.masked[here] - first * 5)
            first += count
        real = {tuple(row) for row in BLOCKS.tolist()}
        assert all(tuple(row) in real for row in batch.x.tolist())
