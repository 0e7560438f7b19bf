"""The least time that counted operations and bytes allow, from rates measured in the same run.

A part takes at least its operations over the rate of a large matrix product, and at least its bytes over the rate
of a large copy; parts follow one another. Operations are those of `imdm.network.sizes`: matrices and attention.
Bytes are weights, read once a call, and what the optimizer reads and writes; activations and logits are left out,
since a fused kernel would keep them on the chip.
"""

from __future__ import annotations

import time

import torch

from benchmarks.side import Side
from benchmarks.trace import Counts
from imdm.network.sizes import Sizes

WEIGHT = 4  # bytes
# Times that an optimizer step touches a float32 number of each parameter: clipping reads the gradient and scales it (3),
# AdamW reads weight, gradient and moments and writes all but the gradient (7), the average reads two and writes one (3).
OPTIMIZER = 13
_TRIES = 7


def phases(side: Side, counts: list[Counts]) -> list[tuple[float, float]]:
    """(operations, bytes) of each part of a run: body, head and mask embedding of each network, then the optimizer.

    Args:
        counts: of each of `side.networks`; the first is trained where the side names no `heads`.
    """
    parts: list[tuple[float, float]] = []
    trained = side.heads is None
    heads = counts[0].masked if trained else side.heads
    for place, (network, seen) in enumerate(zip(side.networks, counts)):
        shape, config = Sizes(network.config), network.config
        passes = 3 if trained and place == 0 else 1  # a backward pass is two
        head, embedding = config.hidden_size * config.vocab_size, (shape.mask_parameters if config.mask == "infinite" else 0)
        body = shape.parameters - 2 * head - embedding
        touched = passes * seen.calls * WEIGHT
        parts.append((passes * (seen.tokens / config.seq_len * shape.row_flops + seen.calls * shape.call_flops), touched * body))
        parts.append((passes * heads * shape.head_flops, touched * head))
        parts.append((passes * seen.masked * shape.mask_flops, touched * embedding))
    if trained:
        parts.append((0, OPTIMIZER * WEIGHT * Sizes(side.networks[0].config).parameters))
    return parts


def floor_seconds(parts: list[tuple[float, float]], flops_per_second: float, bytes_per_second: float) -> float:
    return sum(max(flops / flops_per_second, size / bytes_per_second) for flops, size in parts)


def machine_rates(device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """FLOP/s of a large matrix product and bytes/s of a large copy (read and written), the best of a few."""
    size = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    values = torch.ones(1 << (30 if device.type == "cuda" else 26), device=device)
    target = torch.zeros_like(values)
    product, copy = (_best(work, device) for work in (lambda: a @ b, lambda: target.copy_(values)))
    return {"flops_per_second": 2 * size**3 / product, "bytes_per_second": 2 * values.nbytes / copy}


def _best(work, device: torch.device) -> float:
    seconds = []
    for _ in range(_TRIES):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
