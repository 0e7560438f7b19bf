"""The categorical draw: its intervals, its tail, and what it must never give."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from imdm.diffusion.counter import Stream, bits, uniform
from imdm.network.network import NEVER
from imdm.sampling import categorical
from imdm.sampling.categorical import draw, draw_tokens
from networks import small_network

LOWEST, HIGHEST = 2.0**-53, 1 - 2.0**-53  # of `counter.uniform`


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 400), st.floats(0.1, 12), st.sampled_from([1.0, 0.7, 2.0]), st.integers(0, 2**31))
def test_every_token_has_the_interval_of_its_probability(vocab, scale, temperature, seed):
    """Both sides of each boundary, against a cumulative sum in extended precision: probabilities down to 1e-13 hold."""
    logits = scale * torch.randn(vocab, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    exact = logits.numpy().astype(np.longdouble) / temperature
    weights = np.exp(exact - exact.max())
    ends = (np.cumsum(weights) / weights.sum()).astype(np.float64)
    starts = np.concatenate([[0.0], ends[:-1]])
    wide = ends - starts > 1e-13
    for at in (starts + 3e-14, ends - 3e-14, (starts + ends) / 2):
        found = draw(logits[None], torch.from_numpy(at[wide])[None], temperature)[0]
        assert found.tolist() == np.flatnonzero(wide).tolist()


def test_rare_tokens_come_as_often_as_they_should():
    p = torch.tensor([0.5, 1e-6, 0.3, 3e-6, 1e-5, 1e-4, 0.2 - 1.14e-4 - 2e-7, 2e-7], dtype=torch.float64)
    count, counts = 10_000_000, torch.zeros(8, dtype=torch.int64)
    for part in range(10):
        u = uniform(bits(torch.tensor(5), Stream.TOKEN, part, torch.arange(count // 10)))
        counts += draw(p.log()[None], u[None]).flatten().bincount(minlength=8)
    common = stats.chisquare(counts[:7], p[:7].numpy() / p[:7].sum().item() * counts[:7].sum().item())
    assert common.pvalue > 1e-3
    assert stats.poisson.interval(0.999, count * 2e-7)[0] <= counts[7] <= stats.poisson.interval(0.999, count * 2e-7)[1]


@pytest.mark.parametrize("vocab", [1, 2, 9, 10, 30_522])
def test_what_has_no_probability_is_never_drawn(vocab):
    u = torch.tensor([LOWEST, 1e-9, 0.25, 0.5, 0.75, 1 - 1e-9, HIGHEST], dtype=torch.float64)
    for possible in {0, vocab // 3, vocab - 1}:
        logits = torch.full((len(u), vocab), NEVER)
        logits[:, possible] = 4.0
        assert (draw(logits, u) == possible).all()
        assert (draw(logits[:1], u[None]) == possible).all()
    logits = torch.randn(2, vocab)
    logits[:, ::2] = NEVER
    if vocab > 1:
        found = draw(logits, torch.tensor([[LOWEST] + 50 * [0.3, 0.6], 50 * [0.1, 0.9] + [HIGHEST]], dtype=torch.float64))
        assert (found % 2 == 1).all()
        assert found[0, 0] == 1 and found[1, -1] == vocab - 1 - vocab % 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_precision_of_the_logits_is_all_that_they_cost(dtype):
    logits, u = (5 * torch.randn(50, 1000)).to(dtype), torch.rand(50, dtype=torch.float64)
    assert torch.equal(draw(logits, u), draw(logits.double(), u))


def test_tokens_grow_with_u():
    u = torch.rand(10_000, dtype=torch.float64).sort().values
    assert (draw(3 * torch.randn(1, 300), u[None]).diff() >= 0).all()


@torch.no_grad()
def test_chunks_change_nothing_and_bound_the_logits(monkeypatch):
    network, rows, most = small_network(vocab_size=40), torch.randn(100, 16), []
    u = torch.rand(100, 3, dtype=torch.float64)
    whole, subs = draw(network.subs(rows), u), network.subs
    monkeypatch.setattr(categorical, "CHUNK", {"cpu": 640})
    network.subs = lambda part: most.append(len(part) * 40) or subs(part)
    assert torch.equal(draw_tokens(network, rows, u), whole)
    assert torch.equal(draw_tokens(network, rows, u[:, 0]), whole[:, 0])
    assert max(most) <= 640 and len(most) > 10
