"""Moving averages, optimizers and schedules that go on from one training to the next, or start anew."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from corpora import random_corpus
from imdm.distill.redi import RediTraining
from imdm.distill.sdtt import SdttTraining
from imdm.network.checkpoint import load_network, read_checkpoint, read_tensors, save_network
from imdm.params import Pretrain, Redi, Runtime, Sdtt
from imdm.training.loop import fit, learning_rate
from imdm.training.pretrain import Pretraining
from networks import small_network
from script import run
from trainings import BLOCKS, couplings

SETTINGS = {"batch_size": 8, "lr": 0.05, "warmup": 3, "decay": "cosine", "ema": 0.9}


class Later(Pretraining):
    """A part of a training, whose steps have the numbers that they have in the whole of it."""

    def loss(self, step: int) -> torch.Tensor:
        return super().loss(self.done + step)


def trained(folder: Path, steps: int, done: int, start: Later | None = None) -> Later:
    training = Later(small_network(mask="infinite"), Pretrain(steps=steps, **SETTINGS), 0, BLOCKS)
    training.done, training.total = done, 12
    if start:
        training.network.load_state_dict(start.network.state_dict())
        training.carry(start.ema.state_dict()["shadow"], start.optimizer_state())
    fit(training, folder, Runtime(device="cpu", threads=1))
    return training


def test_two_trainings_with_all_carried_over_are_one(tmp_path):
    """Weights, average and optimizer to the bit; the warmup is once, and the cosine ends with the second."""
    whole, first = trained(tmp_path / "whole", 12, 0), trained(tmp_path / "first", 5, 0)
    second = trained(tmp_path / "second", 7, 5, first)
    assert all(torch.equal(a, b) for a, b in zip(whole.network.parameters(), second.network.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(whole.ema.shadow, second.ema.shadow))
    one, two = whole.optimizer_state(), second.optimizer_state()
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    assert learning_rate(second, 0) == learning_rate(whole, 5) and learning_rate(second, 7) == 0


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    data = random_corpus(folder, 7, 3, 5)
    save_network(folder / "mdm.safetensors", small_network(dropout=0.1, tokenizer_sha256=data.tokenizer_sha256))
    return folder / "mdm.safetensors"


def round_of(number: int, out: Path, start: Path, teacher: Path, carry: bool = True):
    sets = ["sdtt.steps=6", "sdtt.rounds=2", "sdtt.lr=0.01", "sdtt.warmup=4", f"sdtt.carry={carry}", "runtime.checkpoint_seconds=1e-9"]
    return run("sdtt", "--data", teacher.with_name("dataset.json"), "--teacher", start, "--round", number, "--out", out, sets=sets)


def test_a_round_leaves_what_the_next_one_goes_on_with(teacher, tmp_path, monkeypatch):
    assert round_of(1, tmp_path / "one", teacher, teacher).returncode == 0
    one, two = tmp_path / "one/model.safetensors", tmp_path / "two/model.safetensors"
    started = []
    loss = SdttTraining.loss

    def until_four(self, step):
        started.append((step, self.ema.updates, self.optimizer.state_dict()["state"][0]["step"].item(), learning_rate(self, step)))
        if len(started) == 4:
            raise KeyError("power cut")
        return loss(self, step)

    monkeypatch.setattr(SdttTraining, "loss", until_four)
    with pytest.raises(KeyError, match="power cut"):
        round_of(2, two.parent, one, teacher)
    assert round_of(2, two.parent, one, teacher).returncode == 0  # goes on from the interruption
    assert started == [(step, 6 + step, 6 + step, 0.01) for step in (0, 1, 2, 3, 3, 4, 5)]  # the warmup is over
    assert round_of(2, tmp_path / "again", one, teacher).returncode == 0
    assert two.read_bytes() == (tmp_path / "again/model.safetensors").read_bytes()
    assert read_tensors(one, "optimizer.") and not read_tensors(two, "optimizer.")
    assert read_checkpoint(one)[1].keys() == dict(load_network(one).named_parameters()).keys() | {"rotary_emb.inv_freq"}


def test_rounds_that_start_anew_leave_nothing_and_refuse_to_be_gone_on_with(teacher, tmp_path):
    assert round_of(1, tmp_path / "one", teacher, teacher, carry=False).returncode == 0
    one = tmp_path / "one/model.safetensors"
    assert not read_tensors(one, "optimizer.")
    done = round_of(2, tmp_path / "two", one, teacher)
    assert done.returncode == 2 and "has no optimizer state; make it with sdtt.carry: true" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize(("carry", "decay"), [(True, 0.9), (False, 2 / 11)])
def test_the_first_update_of_redis_average(carry, decay):
    training = RediTraining(small_network(), Redi(steps=4, carry=carry, **SETTINGS), 0, couplings())
    before = [tensor.clone() for tensor in training.ema.shadow]
    for parameter in training.network.parameters():
        parameter.data += 1
    training.ema.update(training.network)
    assert all(torch.allclose(after, old + 1 - decay, atol=1e-6) for after, old in zip(training.ema.shadow, before))


def test_a_round_begins_where_the_rounds_before_end():
    settings = Sdtt(steps=6, base_steps=8, rounds=3, **SETTINGS)
    for carry, number, done, total in ((True, 1, 0, 18), (True, 3, 12, 18), (False, 3, 0, 6)):
        training = SdttTraining(small_network(), small_network(1), settings.model_copy(update={"carry": carry}), number, 0, BLOCKS)
        assert (training.done, training.total) == (done, total)
