"""The log-linear schedule of MDLM: alpha_t = 1 - (1 - EPS) t, for t from 0 (data) to 1 (all masked)."""

from __future__ import annotations

import torch
from torch import Tensor

EPS = 1e-3


def alpha(t: Tensor) -> Tensor:
    """Probability that a token is still visible at time t."""
    return 1 - (1 - EPS) * t


def mask_probability(t: Tensor) -> Tensor:
    """1 - alpha_t."""
    return (1 - EPS) * t


def nelbo_weight(t: Tensor) -> Tensor:
    """-alpha'_t / (1 - alpha_t) of Eqs. 5 and 14: exactly 1/t, since EPS cancels."""
    return 1 / t


def stratified_times(offset: Tensor, count: int, floor: float = 1e-3) -> Tensor:
    """One time a sequence, one in each of `count` equal strata (MDLM's antithetic sampling).

    Args:
        offset: one uniform in (0, 1), shared.

    Returns:
        float64 [count] in (floor, 1).
    """
    strata = (offset + torch.arange(count, device=offset.device)) / count
    return floor + (1 - floor) * (strata % 1)


def time_grid(steps: int, start: Tensor) -> Tensor:
    """Times of the sampler, from `start` down to 0 in equal parts.

    Args:
        start: float64 [B], 1 for sequences that begin fully masked.

    Returns:
        float64 [B, steps + 1].
    """
    return start[:, None] * (1 - torch.arange(steps + 1, device=start.device, dtype=torch.float64) / steps)
