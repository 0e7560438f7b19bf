"""Mask states as integers: the state space V ∪ M of the paper's Eq. 10, represented literally.

A state z is an int64. Values 0 <= z < V are tokens; values z >= V are mask states, with the key z - V of
62 bits. V is the network's vocabulary, in which the mask token's own row (id 50257 for GPT-2, 103 for BERT)
is never a datum. A model with a single mask ignores the key.
"""

from __future__ import annotations

import torch
from torch import Tensor

from imdm.diffusion.counter import Stream, bits

KEY_BITS = 62


def is_masked(z: Tensor, vocab_size: int) -> Tensor:
    """True where `z` is a mask state."""
    return z >= vocab_size


def to_state(random_bits: Tensor, vocab_size: int) -> Tensor:
    """A mask state with a uniformly drawn key."""
    return (random_bits & ((1 << KEY_BITS) - 1)) + vocab_size


def key_of(z: Tensor, vocab_size: int) -> Tensor:
    """The key of mask states."""
    return z - vocab_size


def initial_masks(seeds: Tensor, length: int, vocab_size: int) -> Tensor:
    """The mask states that sequences start from, a function of (seed, position).

    Args:
        seeds: int64 [B].

    Returns:
        int64 [B, length].
    """
    positions = torch.arange(length, device=seeds.device)
    return to_state(bits(seeds[:, None], Stream.KEY, positions), vocab_size)


def mask_where(x: Tensor, mask: Tensor, seeds: Tensor, vocab_size: int) -> Tensor:
    """`x` with fresh mask states at `mask` (the forward process of Eq. 12, given which positions it masks).

    Args:
        x: tokens [B, L].
        mask: bool [B, L].
        seeds: int64 [B], one a sequence.
    """
    return torch.where(mask, initial_masks(seeds, x.shape[1], vocab_size), x)
