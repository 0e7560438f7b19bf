"""SDTT's targets, couplings and ReDi's batches."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from imdm.diffusion.counter import Stream, bits, row_seeds, uniform
from imdm.diffusion.nelbo import forward_process
from imdm.diffusion.states import is_masked, key_of
from imdm.distill import distillation, keyed, sdtt
from imdm.distill.couplings import load_couplings, make_couplings, save_couplings
from imdm.distill.keyed import keyed_loss
from imdm.distill.sdtt import sdtt_loss, sdtt_rows, teacher_step, unmask_first
from imdm.errors import UserError
from imdm.params import Couplings
from networks import small_network
from waits import Waits


def test_time_grids_at_the_values_of_the_published_code():
    """P(unmask in the first step) at (t, round): right, and with the known bug (reference values worked out by hand)."""
    for t, round_number, right, released in ((0.5, 7, 0.125, 0.0909), (0.25, 1, 0.00391, 0.00224)):
        t, dt = torch.tensor([t], dtype=torch.float64), teacher_step(1024, round_number)
        assert unmask_first(t, dt, "corrected").item() == pytest.approx(right, abs=1e-5)
        assert unmask_first(t, dt, "released").item() == pytest.approx(released, abs=1e-4)
    assert unmask_first(torch.tensor([0.01]), 0.0625, "corrected").item() == 1


def targets(teacher, batch, seeds, dt) -> torch.Tensor:
    return torch.log_softmax(teacher.subs(sdtt_rows(teacher, batch, seeds, dt)), -1)


@torch.no_grad()
def test_target_is_the_prediction_of_the_step_that_unmasks():
    teacher = small_network()
    x = torch.randint(0, 3, (8, 5))
    batch = forward_process(x, 1, 0, 0, 8, 7)
    seeds = row_seeds(9, 0, 8)
    target = targets(teacher, batch, seeds, 0.25)
    assert torch.allclose(target.exp().sum(-1), torch.ones(len(target)), atol=1e-5)
    at_t = torch.log_softmax(teacher(batch.z, batch.masked), -1)
    rows, columns = batch.masked // 5, batch.masked % 5
    first = uniform(bits(seeds[rows], Stream.SUBSTEP, 0, columns)) < (0.25 / batch.t[rows]).clamp(max=1)
    assert first.any() and not first.all()
    assert torch.allclose(target[first], at_t[first], atol=1e-6)
    touched = torch.isin(rows[~first], rows[first])  # rows in which the second step sees a new token
    assert not torch.allclose(target[~first][touched], at_t[~first][touched], atol=1e-3)
    assert torch.allclose(target[~first][~touched], at_t[~first][~touched], atol=1e-6)
    everything = targets(teacher, batch, seeds, 10.0)
    assert torch.allclose(everything, at_t, atol=1e-6)


def blocks(n=30):
    return np.random.default_rng(0).integers(0, 3, (n, 5)).astype(np.uint16)


def test_couplings_keep_what_was_visible_and_do_not_depend_on_batches():
    network, settings = small_network(), Couplings(pairs=40, steps=6)
    whole = make_couplings(network, blocks(), 0, 40, settings, 1)
    parts = [make_couplings(network, blocks(), first, min(9, 40 - first), settings, 1) for first in range(0, 40, 9)]
    for name, value in whole.items():
        assert torch.equal(value, torch.cat([part[name] for part in parts])), name
    assert (whole["x"] < 7).all()
    real = {tuple(row) for row in blocks().tolist()}
    for x, masked in zip(whole["x"].tolist(), whole["masked"].tolist()):
        assert any(all(m or a == b for a, b, m in zip(x, row, masked)) for row in real)
    assert 0.3 < whole["masked"].double().mean() < 0.7
    assert torch.corrcoef(torch.stack([whole["t"], whole["masked"].double().mean(1)]))[0, 1] > 0.6


def test_every_block_starts_a_coupling_before_one_comes_twice():
    network, settings = small_network(), Couplings(pairs=30, steps=1)
    data = np.arange(150).reshape(30, 5).astype(np.uint16) % 7
    made = make_couplings(network, data, 0, 30, settings, 1)
    visible = ~made["masked"]
    hits = [
        [i for i, row in enumerate(data) if all(row[j] == x[j] for j in range(5) if v[j])]
        for x, v in zip(made["x"].tolist(), visible.tolist())
    ]
    assert all(hits)


def test_couplings_file_round_trip_and_refusals(tmp_path):
    network, settings = small_network(), Couplings(pairs=8, steps=2)
    path = tmp_path / "couplings.safetensors"
    made = make_couplings(network, blocks(), 0, 8, settings, 1)
    save_couplings(path, made, network.config, settings)
    found = load_couplings(path, network.config)
    assert len(found) == 8 and found.about["steps"] == 2
    assert all(torch.equal(getattr(found, name), made[name]) for name in made)
    with pytest.raises(UserError, match="vocab_size 7, the network has 8"):
        load_couplings(path, small_network(vocab_size=8).config)
    save_file(made, tmp_path / "bare.safetensors")
    with pytest.raises(UserError, match="is not a file of couplings"):
        load_couplings(tmp_path / "bare.safetensors", network.config)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match="truncated"):
        load_couplings(path, network.config)


def test_redi_sees_the_keys_that_the_teacher_started_from(tmp_path):
    """What makes a coupling of noise and text: the student's z_t is the state the teacher's sampler began with."""
    from imdm.distill.redi import RediTraining

    network, settings = small_network(), Couplings(pairs=16, steps=4)
    path = tmp_path / "couplings.safetensors"
    save_couplings(path, make_couplings(network, blocks(), 0, 16, settings, 1), network.config, settings)
    couplings = load_couplings(path, network.config)
    redi = dict(steps=4, batch_size=8, warmup=0)
    from imdm.params import Redi

    stored = RediTraining(network, Redi(**redi), 0, couplings)
    fresh = RediTraining(network, Redi(**redi, keys="fresh"), 0, couplings)
    for training in (stored, fresh):
        training.part = (0, 8)
    epochs = [stored.batch(step) for step in range(4)]
    first, second = (torch.cat([key_of(b.z[is_masked(b.z, 7)], 7) for b in pair]).sort().values for pair in (epochs[:2], epochs[2:]))
    assert torch.equal(first, second)  # an epoch later, the same noise for the same text
    seen = {(tuple(z), tuple(x)) for b in epochs[:2] for z, x in zip(b.z.tolist(), b.x.tolist())}
    assert len(seen) == 16
    new = fresh.batch(0)
    assert torch.equal(new.x, epochs[0].x) and not torch.equal(new.z, epochs[0].z)


@pytest.mark.parametrize("module", [sdtt, keyed])
def test_the_host_waits_for_nothing_once_the_batch_is_sent(module, monkeypatch):
    """All counts that a distillation step needs are known on the CPU before the first tensor goes to the device."""
    mask = {"mask": "infinite" if module is sdtt else "gumbel"}
    student, teacher, sent, waits = small_network(**mask), small_network(1, **mask), [], Waits()
    batch = forward_process(torch.randint(0, 3, (6, 5)), 3, 0, 0, 6, student.config.vocab_size)

    def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
        if not sent:
            waits.__enter__()
        sent.append(tensor)
        return tensor

    for each in (module, distillation):
        monkeypatch.setattr(each, "send", send)
    try:
        if module is sdtt:
            sdtt_loss(student, teacher, batch, row_seeds(9, 0, 6), 0.3, "corrected", "reverse_kl").backward()
        else:
            keyed_loss(student, teacher, batch, 3, "reverse_kl").backward()
    finally:
        waits.__exit__(None, None, None)
    assert len(sent) > 5 and waits.found == []
