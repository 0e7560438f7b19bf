"""The posterior q(z_s | z_t, x) of a masked position, s < t (paper Eq. 13)."""

from __future__ import annotations

import torch
from torch import Tensor

from imdm.diffusion.schedule import alpha


def unmask_probability(t: Tensor, s: Tensor) -> Tensor:
    """(alpha_s - alpha_t) / (1 - alpha_t); for the log-linear schedule 1 - s/t."""
    return (alpha(s) - alpha(t)) / (1 - alpha(t))


def keep_probability(t: Tensor, s: Tensor) -> Tensor:
    """kappa = alpha_t / alpha_s: a position that stays masked keeps its key with this probability, else gets a fresh one.

    Kept-key probabilities multiply along a trajectory, so a position that nothing looked at for several steps
    needs one draw for all of them.
    """
    return alpha(t) / alpha(s)


def posterior_rows(x_probabilities: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """The categorical of Eq. 13 written out: tokens, "keep the key", "fresh key".

    Args:
        x_probabilities: [..., V], the network's x_theta.
        t, s: times, broadcasting with the leading dimensions.

    Returns:
        [..., V + 2], rows that sum to 1.
    """
    unmask, kappa = unmask_probability(t, s)[..., None], keep_probability(t, s)[..., None]
    ones = torch.ones_like(x_probabilities[..., :1])
    return torch.cat([unmask * x_probabilities, (1 - unmask) * kappa * ones, (1 - unmask) * (1 - kappa) * ones], dim=-1)
