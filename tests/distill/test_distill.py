"""SDTT's time grids, couplings and ReDi's batches; SDTT's targets and loss are in tests/network/test_head_loss.py."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from imdm.diffusion.counter import row_seeds
from imdm.diffusion.nelbo import forward_process
from imdm.diffusion.states import is_masked, key_of
from imdm.distill import couplings, distillation, keyed, sdtt
from imdm.distill.couplings import load_couplings, make_couplings, save_couplings
from imdm.distill.keyed import keyed_loss
from imdm.distill.redi import RediTraining
from imdm.distill.sdtt import sdtt_loss, teacher_step, unmask_first
from imdm.errors import UserError
from imdm.params import Couplings, Redi
from networks import small_network
from trainings import BLOCKS
from waits import Waits


def test_time_grids_at_the_values_of_the_published_code():
    """P(unmask in the first step) at (t, round): right, and with the known bug (reference values worked out by hand)."""
    for t, round_number, right, released in ((0.5, 7, 0.125, 0.0909), (0.25, 1, 0.00391, 0.00224)):
        t, dt = torch.tensor([t], dtype=torch.float64), teacher_step(1024, round_number)
        assert unmask_first(t, dt, "corrected").item() == pytest.approx(right, abs=1e-5)
        assert unmask_first(t, dt, "released").item() == pytest.approx(released, abs=1e-4)
    assert unmask_first(torch.tensor([0.01]), 0.0625, "corrected").item() == 1


def test_couplings_keep_what_was_visible_and_do_not_depend_on_batches():
    network, settings = small_network(), Couplings(pairs=40, steps=6)
    whole = make_couplings(network, BLOCKS, 0, 40, settings, 1)
    parts = [make_couplings(network, BLOCKS, first, min(9, 40 - first), settings, 1) for first in range(0, 40, 9)]
    for name, value in whole.items():
        assert torch.equal(value, torch.cat([part[name] for part in parts])), name
    assert (whole["x"] < 7).all()
    real = {tuple(row) for row in BLOCKS.tolist()}
    for x, masked in zip(whole["x"].tolist(), whole["masked"].tolist()):
        assert any(all(m or a == b for a, b, m in zip(x, row, masked)) for row in real)
    assert 0.3 < whole["masked"].double().mean() < 0.7
    assert torch.corrcoef(torch.stack([whole["t"], whole["masked"].double().mean(1)]))[0, 1] > 0.6


def test_every_block_starts_a_coupling_before_one_comes_twice(monkeypatch):
    blocks, starts = np.arange(150).reshape(30, 5).astype(np.uint16), []

    def sample(*_, visible, **__):
        starts.extend(visible[1].tolist())
        return SimpleNamespace(tokens=visible[1])

    monkeypatch.setattr(couplings, "sample", sample)
    make_couplings(small_network(), blocks, 0, 30, Couplings(pairs=30, steps=1), 1)
    assert sorted(starts) == blocks.tolist()


def test_couplings_file_round_trip_and_refusals(tmp_path):
    network, settings = small_network(), Couplings(pairs=8, steps=2)
    path = tmp_path / "couplings.safetensors"
    made = make_couplings(network, BLOCKS, 0, 8, settings, 1)
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
    network, settings = small_network(), Couplings(pairs=16, steps=4)
    path = tmp_path / "couplings.safetensors"
    save_couplings(path, make_couplings(network, BLOCKS, 0, 16, settings, 1), network.config, settings)
    made = load_couplings(path, network.config)
    stored, fresh = (RediTraining(network, Redi(steps=4, batch_size=8, keys=keys), 0, made) for keys in ("stored", "fresh"))
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
