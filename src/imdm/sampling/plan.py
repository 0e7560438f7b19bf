"""The plan of a trajectory: in which step each position is unmasked, and so what every network call takes.

Neither depends on the network. So the calls of a batch are laid out before the first one, with one transfer to the host, and the
sampler's loop then works on slices: none of its calls waits for the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

_SHAPES = 16  # most row counts that the network meets in a batch


def unmasking_steps(u: Tensor, steps: int) -> Tensor:
    """The step in which each position is unmasked, from uniforms (...): int64, on 0..N-1, of equal probability.

    With equal steps that is the sampler's law, since P(unmask in a step | masked) = 1 - s/t.
    """
    return (u * steps).long().clamp(0, steps - 1)


def even_steps(order: Tensor, masked: Tensor, steps: int) -> Tensor:
    """As many positions in each step, to one: a row's masked positions in their order, cut into N parts, int64 [B, L].

    Where N is the number of masked positions or more, each is written by itself, and nothing is left of the factorization error:
    in random order the samples are those of infinitely many independent steps (the first-hitting sampler of Zheng et al.,
    arXiv 2409.02908).

    Args:
        order: what positions are sorted by, [B, L] or [L], below its length or 1.
        masked: bool [B, L]; what the others get means nothing.
    """
    place = torch.where(masked, order, order.shape[-1]).argsort(1).argsort(1)
    return place * steps // masked.sum(1, keepdim=True).clamp(min=1)


def dilated_order(length: int, device: torch.device | str = "cpu") -> Tensor:
    """The place of each position in an order in which positions that come together lie far apart, int64 [L].

    Positions are sorted by their bits from the lowest to the highest: first the multiples of the largest power of two, then
    the middles of the gaps that are left, last all odd positions. It is the order of the dilated unmasking scheduler (Luxembourg
    et al., arXiv 2506.19037) for one block, in groups of any size.
    """
    position, bits = torch.arange(length, device=device), max(1, (length - 1).bit_length())
    reversed_bits = sum(((position >> bit & 1) << (bits - 1 - bit) for bit in range(bits)), torch.zeros_like(position))
    return reversed_bits.argsort().argsort()


class Call(NamedTuple):
    """A network call: the first `rows` places take part, order[first:last] is unmasked, order[first:] is masked before."""

    rows: int
    first: int
    last: int


@dataclass(frozen=True)
class Plan:
    """The calls of a batch of B rows.

    Rows go from event to event of their own: a row's k-th call is the k-th step in which it unmasks something. They are
    put in order of falling numbers of calls, so that those of a call are a slice.

    Attributes:
        rows: which row is at each place, int64 [B].
        order: flat indices place * L + position by call, visible positions first, int64 [B * L].
        steps: step of each place's calls, int64 [B, more than there are calls]; meaningless where it has no more.
        needed: calls of each row, int64 [B], in the rows' own order.
        opened: positions that the first call unmasks in any row, int64 [at most L].
        calls: one after the other.
    """

    rows: Tensor
    order: Tensor
    steps: Tensor
    needed: Tensor
    opened: Tensor
    calls: list[Call]


def make_plan(unmasked_at: Tensor, steps: int) -> Plan:
    """Lay out the calls, with one transfer to the host.

    The rows of a call are rounded up to a sixteenth of the batch by rows that are done, so that compiled blocks meet few
    shapes; with few steps nearly every call has the whole batch anyway.

    Args:
        unmasked_at: step in which each position is unmasked, int64 [B, L], below `steps`; -1 where it is visible.
    """
    batch, length = unmasked_at.shape
    most = min(steps, length)
    counts = torch.arange(most + 1, device=unmasked_at.device)
    at, position = unmasked_at.sort(dim=1)
    event = (at.diff(dim=1, prepend=torch.full_like(at[:, :1], -1)) > 0).cumsum(1) - 1  # visible: -1
    call = torch.empty_like(event).scatter(1, position, event)  # of each position

    needed = event[:, -1] + 1
    rows = needed.argsort(descending=True, stable=True)
    step = at.new_zeros(batch, most + 1).scatter(1, event % (most + 1), at)  # visible positions go to the last column
    in_order, order = call[rows].flatten().sort(stable=True)
    opened = (call == 0).any(0)

    sizes = torch.searchsorted(in_order, counts), (needed[:, None] > counts).sum(0), opened.sum()[None]
    *numbers, openings = torch.cat(sizes).tolist()
    bounds, active = numbers[: most + 1], numbers[most + 1 :]
    unit = -(-batch // _SHAPES)
    calls = [Call(min(batch, -(-n // unit) * unit), bounds[k], bounds[k + 1]) for k, n in enumerate(active) if n]
    return Plan(rows, order, step[rows], needed, opened.byte().argsort(descending=True, stable=True)[:openings], calls)
