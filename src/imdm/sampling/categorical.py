"""The categorical draw: inverse CDF in float64, one uniform a position."""

from __future__ import annotations

import torch
from torch import Tensor


def draw(logits: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
    """Token of each row: the first whose cumulative probability exceeds u.

    float32 Gumbel noise cuts the tail off (lower entropy and Gen-PPL than the model's); probabilities and their
    cumulative sum in float64 keep events of probability 1e-7 and less as frequent as they should be.

    Args:
        logits: [n, V]; -1e6 or less for impossible tokens.
        u: float64 [n] in (0, 1).

    Returns:
        int64 [n].
    """
    probabilities = torch.softmax(logits.double() / temperature, dim=-1)
    cumulative = probabilities.cumsum(-1)
    token = torch.searchsorted(cumulative, (u * cumulative[:, -1])[:, None], right=True).squeeze(1)
    # Rounding may put u beyond the last step of the sum: the last possible token is meant.
    last = logits.shape[-1] - 1 - probabilities.flip(-1).ne(0).int().argmax(-1)
    return torch.minimum(token, last)
