"""The race behind a key: standard Gumbels whatever is drawn first, and draws that are exact."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from imdm.diffusion.counter import Stream, bits, row_seeds, uniform
from imdm.diffusion.race import candidates, exponentials

P = torch.tensor([0.55, 0.25, 0.12, 0.05, 0.02, 0.009, 0.001, 0.0], dtype=torch.float64)  # the last, a mask, is never drawn
COUNT = 40_000


def gumbels(proposal: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """G of many keys [n, V], and which tokens came first [n, count]."""
    keys = row_seeds(1, 0, COUNT)
    times, tokens = candidates(keys, count, proposal)
    return -exponentials(keys, times, tokens, proposal).log(), tokens


@pytest.mark.parametrize("count", [1, 3, 12])
def test_gumbels_are_standard_and_independent_whatever_the_candidates_show(count):
    g, _ = gumbels(P, count)
    for token in range(len(P)):
        assert kstest(g[:, token].numpy(), "gumbel_r").pvalue > 1e-4
    ranks = g.argsort(0).argsort(0).double()
    correlation = torch.corrcoef(ranks.T) - torch.eye(len(P), dtype=torch.float64)
    assert correlation.abs().max() < 5.5 / COUNT**0.5


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**62 - 1), count=st.integers(1, 20))
def test_the_first_candidates_are_those_that_the_gumbels_favour(seed, count):
    """log q + G falls along the candidates, and nothing that is no candidate lies above the last."""
    keys = row_seeds(seed, 0, 5)
    times, tokens = candidates(keys, count, P)
    arrival = exponentials(keys, times, tokens, P) / P
    for row in range(5):
        order = list(dict.fromkeys(tokens[row].tolist()))
        assert torch.equal(arrival[row].argsort()[: len(order)], torch.tensor(order))
        assert arrival[row, order[0]] == pytest.approx(times[row, 0].item())


def posterior() -> tuple[torch.Tensor, torch.Tensor]:
    """Gumbels inferred from a token x ~ P, and x: the noise with which P would have drawn it."""
    keys = row_seeds(2, 0, COUNT)
    x = torch.searchsorted(P.cumsum(0), uniform(bits(keys, Stream.TOKEN)))
    times, _ = candidates(keys, 1, P)
    return -exponentials(keys, times, x[:, None], P).log(), x


def test_conditioned_gumbels_have_their_argmax_at_the_token_and_are_standard_over_all_tokens():
    """A maximum of the wrong sign, or losers that are drawn freely, passes the first alone."""
    g, x = posterior()
    assert torch.equal((P.log() + g).argmax(-1), x)
    for token in range(len(P)):
        assert kstest(g[:, token].numpy(), "gumbel_r").pvalue > 1e-4


@pytest.mark.parametrize("winner", [0, 1, 3])
def test_conditioned_winners_and_losers_are_those_that_rejection_leaves(winner):
    """By Gumbels that are drawn freely, of which those are kept whose argmax is the token."""
    g, x = posterior()
    free = -torch.empty(20 * COUNT, len(P), dtype=torch.float64).exponential_(generator=torch.Generator().manual_seed(3)).log()
    kept = free[(P.log() + free).argmax(-1) == winner]
    for token in range(len(P)):
        assert kstest(g[x == winner, token].numpy(), kept[:, token].numpy()).pvalue > 1e-4
    best = (P.log() + g)[x == winner].amax(-1)
    assert kstest(best.numpy(), "gumbel_r").pvalue > 1e-4  # the maximum knows nothing of who has it


def test_draws_by_the_race_of_another_distribution_are_exact():
    """Candidates are drawn from P, tokens from p: the frequencies are p's, in the tail too."""
    p = torch.tensor([0.004, 0.6, 0.0005, 0.3, 0.09, 0.005, 0.0005, 0.0], dtype=torch.float64)
    g, _ = gumbels(P, 3)
    drawn = torch.bincount((p.log() + g).argmax(-1), minlength=len(p))
    assert drawn[-1] == 0 and chisquare(drawn[:-1].numpy(), COUNT * p[:-1].numpy()).pvalue > 1e-4


def test_a_tokens_first_arrival_counts_where_it_comes_again():
    times, tokens = torch.tensor([[1.0, 2.0, 4.0]], dtype=torch.float64), torch.tensor([[1, 1, 0]])
    q = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)
    e = exponentials(torch.tensor([7]), times, tokens, q)
    assert e[0, :2].tolist() == [2.0, 0.5] and e[0, 2] > 0 and math.isfinite(e[0, 2].item())
