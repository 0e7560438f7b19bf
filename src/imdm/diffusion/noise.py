"""The noise vector of a mask state, a pure function of its key: nothing of it is ever stored."""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist

import torch
from torch import Tensor

from imdm.diffusion.counter import Stream, bits

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


def noise(keys: Tensor, dim: int, dist: str = "uniform", scale: float = 1.0) -> Tensor:
    """ε of Eq. 15 for each key: i.i.d. coordinates, uniform on (-1, 1) or standard Gaussian, times `scale`.

    Args:
        keys: int64 [...].
        dim: d_noise.

    Returns:
        float32 [..., dim]; identical to the bit on every device and for every batch shape.
    """
    words = bits(keys[..., None], Stream.NOISE, torch.arange(-(-dim // 4), device=keys.device))
    codes = words.view(torch.int16)[..., :dim].int() & 0xFFFF  # each word's quarters, the lowest first
    if dist == "gaussian":
        values = _quantiles(str(keys.device)).index_select(0, codes.flatten()).view(codes.shape)
    else:
        values = (2 * codes + 1).float().mul_(2.0**-_BITS).sub_(1)  # exact in float32
    return values if scale == 1 else values * scale


def carried_uniforms(keys: Tensor) -> tuple[Tensor, Tensor]:
    """The two uniforms that a key carries, float64 (...), which are noise coordinates 0 and 1 mapped to (0, 1).

    A teacher that draws with them (`couplings.draws: from_noise...`) makes its text a function of the noise
    that the student sees: (unmasking order, token draw). 16 bits each.
    """
    word = bits(keys, Stream.NOISE, 0)
    return tuple(((word >> shift & 0xFFFF).double() + 0.5) * 2.0**-_BITS for shift in (0, 16))
