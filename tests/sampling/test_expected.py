"""The sampler's expected work, against every assignment of masks to steps and a real sampler."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from imdm.cost.work import expected_calls, expected_embedded, expected_work, perturbed
from imdm.diffusion.counter import row_seeds
from imdm.diffusion.states import is_masked
from imdm.network.sizes import Pass, Sizes
from imdm.sampling.sampler import sample
from networks import small_network


@given(steps=st.integers(1, 5), masked=st.integers(1, 5))
@settings(deadline=None, max_examples=25)
def test_expectations_by_enumeration(steps, masked):
    """Every assignment of masks to steps is equally likely; a mask is embedded in each occupied step up to its own."""
    calls = embedded = 0
    for places in itertools.product(range(steps), repeat=masked):
        occupied = sorted(set(places))
        calls += len(occupied)
        embedded += sum(sum(step <= place for step in occupied) for place in places)
    assert expected_calls(steps, masked) == pytest.approx(calls / steps**masked)
    assert expected_embedded(steps, masked) == pytest.approx(embedded / steps**masked)


def test_perturbed_couplings_need_few_calls():
    """N (1 - E[(1 - 1/N)^n]) with n uniform on 0..L is a geometric sum."""
    for length, about in ((128, 61.4), (1024, 377)):
        ratio = 1 - 1 / 1024
        exact = 1024 * (1 - (1 - ratio ** (length + 1)) / (1 - ratio) / (length + 1))
        assert perturbed(expected_calls, 1024, length) == pytest.approx(exact) == pytest.approx(about, rel=2e-3)


@pytest.mark.parametrize("perturb", [False, True])
def test_the_sampler_does_the_expected_work(perturb):
    rows, steps, length = 512, 16, 24
    network = small_network(vocab_size=50, seq_len=length, hidden_size=32, heads=4, cond_dim=16, noise_dim=40)
    generator = torch.Generator().manual_seed(0)
    visible, embedded = None, 0
    if perturb:
        levels = torch.rand(rows, 1, generator=generator)
        visible = (torch.rand(rows, length, generator=generator) >= levels, torch.randint(50, (rows, length), generator=generator))

    original = network.vocab_embed.forward

    def embed(z: torch.Tensor, masked: torch.Tensor | None) -> torch.Tensor:
        nonlocal embedded
        embedded += int(is_masked(z, 50).sum())
        return original(z, masked)

    network.vocab_embed.forward = embed
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # the counter knows no other backend
        calls = sample(network, row_seeds(3, 0, rows), steps, visible=visible).calls
    expected = expected_work(steps, None if perturb else length, length)
    # perturbed blocks differ much in their number of masks: about 5 standard errors
    assert calls.double().mean().item() == pytest.approx(expected[0], rel=0.1 if perturb else 0.02)
    assert embedded / rows == pytest.approx(expected[1], rel=0.15 if perturb else 0.03)
    work = Pass(rows * expected[0], rows * expected[2], rows * expected[1], expected_calls(steps, length))
    assert Sizes(network.config).forward(work) == pytest.approx(counter.get_total_flops(), rel=0.12 if perturb else 0.03)
