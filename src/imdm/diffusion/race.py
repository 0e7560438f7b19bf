"""Gumbel noise of a mask state, as an exponential race: V numbers that are functions of its key, and never stored.

E_v = exp(-G_v) of standard Gumbels G are standard exponentials. A token of probability p_v arrives at the time E_v / p_v, and the
first one to arrive is a draw from p: the Gumbel-max trick, argmax of log p_v + G_v.

With a proposal q the arrivals of all V tokens are a Poisson process of rate 1 whose points bear tokens drawn from q. So the tokens
that come first, its candidates, follow from a few hashes, whatever V is. By then a token that has not come is as new, since an
exponential has no memory: the others' E are drawn where a token is drawn, and nowhere else. The same holds given a token that
another distribution p has drawn: it is p's first point. So `exponentials` of (time, token, p) is the noise behind a token of real text.
"""

from __future__ import annotations

import torch
from torch import Tensor

from imdm.diffusion.counter import Stream, bits, uniform


def candidates(keys: Tensor, count: int, proposal: Tensor) -> tuple[Tensor, Tensor]:
    """The first points of each key's process. A token may come several times; what counts is its first.

    Args:
        keys: int64 [n].
        proposal: q, float64 [V], which sums to 1.

    Returns:
        times, ascending, float64 [n, count]; tokens int64 [n, count].
    """
    u = uniform(bits(keys[:, None], Stream.RACE, torch.arange(2 * count, device=keys.device)))
    times, place = u[:, :count].log().neg_().cumsum(1), u[:, count:]
    cumulative = proposal.cumsum(0)
    tokens = torch.searchsorted(cumulative, place * cumulative[-1], right=True)
    return times, tokens.clamp_(max=len(proposal) - 1)


def exponentials(keys: Tensor, times: Tensor, tokens: Tensor, proposal: Tensor) -> Tensor:
    """E of every token, float64 [n, V], given the first points [n, m] of the race that `proposal` ([V] or [n, V]) runs."""
    q = proposal.expand(len(keys), -1)
    rest = uniform(bits(keys[:, None], Stream.REST, torch.arange(q.shape[1], device=keys.device))).log_().neg_()
    came = q.gather(1, tokens) * times
    return rest.addcmul_(q, times[:, -1:]).scatter_reduce_(1, tokens, came, "amin", include_self=False)
