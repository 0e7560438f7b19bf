"""The noise vector of a mask state, a pure function of its key: nothing of it is ever stored."""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist

import torch
from torch import Tensor

from imdm.diffusion.counter import Stream, bits, uniform

_BITS = 16  # of each coordinate; four coordinates come from one 64-bit hash


@lru_cache(maxsize=4)
def _quantiles(device: str) -> Tensor:
    """The Gaussian value of each 16-bit code, float32 [65536].

    A table, since log or cos differ in the last bit between devices and between vectorised and scalar code.
    Quantiles at the midpoints reach ±4.3 standard deviations.
    """
    normal = NormalDist()
    values = [normal.inv_cdf((code + 0.5) / 2**_BITS) for code in range(2**_BITS)]
    return torch.tensor(values, dtype=torch.float64).float().to(device)


@lru_cache(maxsize=4)
def _order(device: str) -> Tensor:
    """Which bit of a word each sign is: the highest of its lowest quarter first, int64 [64]."""
    return torch.tensor([quarter + bit for quarter in range(0, 64, _BITS) for bit in reversed(range(_BITS))], device=device)


def noise(keys: Tensor, dim: int, dist: str = "uniform", scale: float = 1.0) -> Tensor:
    """ε of Eq. 15 for each key: i.i.d. coordinates times `scale`: uniform on (-1, 1), standard Gaussian, or -1 and 1 (Rademacher).

    Rademacher coordinates 16 to 31 are the bits of `carried_uniform`, the highest first.

    Args:
        keys: int64 [...].
        dim: d_noise.

    Returns:
        float32 [..., dim]; identical to the bit on every device and for every batch shape.
    """
    return coordinates(keys, dim, dist, scale, table_of(dist, keys.device))


def table_of(dist: str, device: torch.device) -> Tensor | None:
    """What `coordinates` looks up for this distribution."""
    return {"gaussian": _quantiles, "rademacher": _order}[dist](str(device)) if dist != "uniform" else None


def coordinates(keys: Tensor, dim: int, dist: str, scale: float, table: Tensor | None) -> Tensor:
    """`noise`, as a function of tensors alone that can be compiled; `table` is that of `table_of`."""
    each = 64 if dist == "rademacher" else 4  # coordinates of a word
    words = bits(keys[..., None], Stream.NOISE, torch.arange(-(-dim // each), device=keys.device))
    if table is None:
        values = (2 * _codes(words, dim) + 1).float().mul_(2.0**-_BITS).sub_(1)  # exact in float32
    elif dist == "rademacher":
        signs = (words[..., None] >> table) & 1
        values = (2 * signs.flatten(-2)[..., :dim] - 1).float()
    else:
        codes = _codes(words, dim)
        values = table.index_select(0, codes.flatten()).view(codes.shape)
    return values if scale == 1 else values * scale


def _codes(words: Tensor, dim: int) -> Tensor:
    """The first `dim` quarters of the words [..., W], the lowest of each first: int32 [..., dim]."""
    return words.view(torch.int16)[..., :dim].int() & 0xFFFF


def carried_uniform(keys: Tensor) -> Tensor:
    """The uniform that a key carries, float64 (...): which token its position gets.

    A teacher that draws with it makes its text a function of the noise, of which the student sees 16 bits: as coordinate 1 of
    uniform noise, or as coordinates 16 to 31 of Rademacher noise. Lower bits come from elsewhere, so that rare tokens are as
    frequent as they should be.
    """
    seen = (bits(keys, Stream.NOISE, 0) >> _BITS & 0xFFFF).double()
    return (seen + uniform(bits(keys, Stream.CARRIED, 1))) * 2.0**-_BITS
