"""Counter-based randomness: every draw is a pure function of a seed and its coordinates.

Integers only, so that CPU and GPU agree to the bit and neither batch size nor sharding matters.
The mixing function is the finalizer of SplitMix64 (Steele, Lea and Flood 2014, constants of Stafford's
variant 13), in wrapping int64 arithmetic.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum

import torch
from torch import Tensor


class Stream(IntEnum):
    """What a draw is for; draws of different streams are independent."""

    KEY = 1  # initial key of a position's mask state
    UNMASK = 2  # when a position is unmasked
    TOKEN = 3  # which token it gets
    REDRAW = 4  # whether a key is kept between steps
    FRESH = 5  # the key that replaces it
    LEVEL = 6  # t of a sequence
    MASK = 7  # which positions the forward process masks
    ROW = 8  # the seed of a sequence
    BLOCK = 9  # which training block a coupling starts from
    SUBSTEP = 10  # draws within a step of distillation
    NOISE = 11  # coordinates of the noise vector
    LATENT = 12  # the latent of a sequence in one network call (Di4C)
    CARRIED = 13  # lower bits of the uniforms that a key carries
    RACE = 14  # which tokens come first in the race of a key, and when
    REST = 15  # when the others come


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MIX1 = _signed(0xBF58476D1CE4E5B9)
_MIX2 = _signed(0x94D049BB133111EB)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift; torch's is arithmetic."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def mix(x: Tensor) -> Tensor:
    """A bijection of int64 in which every input bit affects every output bit."""
    x = (x ^ _shift(x, 30)) * _MIX1
    x = (x ^ _shift(x, 27)) * _MIX2
    return x ^ _shift(x, 31)


def fold(x: Tensor, coordinate: Tensor | int) -> Tensor:
    """Hash `x` together with one more coordinate (broadcasting)."""
    return mix(x + _GOLDEN * (coordinate + 1)) if isinstance(coordinate, Tensor) else mix(x + _signed(_GOLDEN * (coordinate + 1)))


def bits(seed: Tensor, stream: Stream, *coordinates: Tensor | int) -> Tensor:
    """64 random bits for each element of the broadcast of seed and coordinates, int64."""
    x = fold(seed, int(stream))
    for coordinate in coordinates:
        x = fold(x, coordinate)
    return x


def uniform(random_bits: Tensor) -> Tensor:
    """Bits to float64 strictly inside (0, 1), 2^52 equidistant values."""
    return (_shift(random_bits, 12).double() + 0.5) * 2.0**-52


def root_seed(seed: int, purpose: str) -> int:
    """An int64 seed for one purpose of the experiment's `seed`, so that equal numbers don't share draws."""
    digest = hashlib.sha256(f"{purpose}:{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "little", signed=True)


def training_seed(seed: int, replicate: int) -> int:
    """The experiment's seeds.train for the first training seed (0), else one derived from it."""
    return root_seed(seed, f"replicate:{replicate}") if replicate else seed


def row_seeds(seed: int, first: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """Seeds of the sequences first .. first+count-1, int64 [count]; independent of any batching."""
    index = torch.arange(first, first + count, device=device)
    return bits(torch.tensor(seed, device=device), Stream.ROW, index)
