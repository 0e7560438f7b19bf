"""In which of N steps each masked position is unmasked: the paper's law, and two with as many positions in each step."""

from __future__ import annotations

import torch
from torch import Tensor


def unmasking_steps(u: Tensor, steps: int) -> Tensor:
    """The step in which each position is unmasked, from uniforms (...): int64, on 0..N-1, of equal probability.

    With equal steps that is the sampler's law, since P(unmask in a step | masked) = 1 - s/t.
    """
    return (u * steps).long().clamp(0, steps - 1)


def places(order: Tensor, masked: Tensor) -> Tensor:
    """The place of each masked position in the order of a row's masked positions, int64 [B, L] from 0; others come behind.

    Args:
        order: what they are sorted by, [B, L] or [L], below its length or 1.
        masked: bool [B, L].
    """
    return torch.where(masked, order, order.shape[-1]).argsort(1).argsort(1)


def even_steps(order: Tensor, masked: Tensor, steps: int) -> Tensor:
    """As many positions in each step, to one: the order of `places`, cut into N parts.

    Where N is the number of masked positions or more, each is written by itself, and nothing is left of the factorization error:
    in random order the samples are those of infinitely many independent steps (the first-hitting sampler of Zheng et al.,
    arXiv 2409.02908).
    """
    return places(order, masked) * steps // masked.sum(1, keepdim=True).clamp(min=1)


def dilated_order(length: int, device: torch.device | str = "cpu") -> Tensor:
    """The place of each position in an order in which positions that come together lie far apart, int64 [L].

    Positions are sorted by their bits from the lowest to the highest: first the multiples of the largest power of two, then
    the middles of the gaps that are left, last all odd positions. It is the order of the dilated unmasking scheduler (Luxembourg
    et al., arXiv 2506.19037) for one block, in groups of any size.
    """
    position, bits = torch.arange(length, device=device), max(1, (length - 1).bit_length())
    reversed_bits = sum(((position >> bit & 1) << (bits - 1 - bit) for bit in range(bits)), torch.zeros_like(position))
    return reversed_bits.argsort().argsort()
