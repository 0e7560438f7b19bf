"""Self-distillation through time (SDTT): two teacher steps become one student step."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from imdm.diffusion.counter import Stream, bits, uniform
from imdm.diffusion.nelbo import Noised
from imdm.models.dit import Network
from imdm.models.head_loss import Term, head_loss
from imdm.runtime import send
from imdm.sampling.categorical import draw_tokens


def teacher_step(base_steps: int, round_number: int) -> float:
    """Length dt of the teacher's step in a round, from 1: it doubles each round; the student learns 2 dt."""
    return 2.0 ** (round_number - 1) / base_steps


def unmask_first(t: Tensor, dt: float, time_grid: str) -> Tensor:
    """Probability that the first of two teacher steps unmasks a masked position, float64 like t.

    corrected: dt/t, from t to t - dt. released: the published SDTT code reads the first step at
    t + (1 - t)(t - 2 dt) instead of t, so it unmasks too little; its checkpoints were trained with that.
    """
    at = t if time_grid == "corrected" else t + (1 - t) * (t - 2 * dt)
    return (dt / at.clamp(min=1e-5)).clamp(max=1)


@torch.no_grad()
def sdtt_rows(teacher: Network, batch: Noised, seeds: Tensor, dt: float, time_grid: str = "corrected") -> Tensor:
    """The body's output of the teacher from which the student's targets come, at the masked positions.

    A position that the first step unmasks keeps that step's prediction; all others get the second step's,
    made with the first one's tokens in place. Keys stay over both steps, and the student sees the same ones.

    Args:
        teacher: in eval mode.
        batch: z_t, on the CPU, where the number of positions that the first step unmasks is needed.
        seeds: int64 [B] on the CPU, of the teacher's draws.
        dt: the teacher's step.

    Returns:
        [n, d] in the order of `batch.masked`.
    """
    length = batch.z.shape[1]
    sequence, column = batch.masked // length, batch.masked % length
    chance = unmask_first(batch.t, dt, time_grid)[sequence]
    first = uniform(bits(seeds[sequence], Stream.SUBSTEP, 0, column)) < chance

    u = uniform(bits(seeds[sequence], Stream.SUBSTEP, 1, column))
    now = first.nonzero().squeeze(1)

    to_teacher = partial(send, device=teacher.vocab_embed.embedding.device)
    opened, left, now, u, first = (to_teacher(value) for value in (batch.masked[first], batch.masked[~first], now, u[first], first))
    z, masked = to_teacher(batch.z), to_teacher(batch.masked)
    rows = teacher.rows(z, masked, masked=masked)
    z = z.flatten().index_copy(0, opened, draw_tokens(teacher, rows[now], u)).view_as(z)
    return torch.where(first[:, None], rows, teacher.rows(z, masked, masked=left))


def divergence(student: Tensor, target: Tensor, kind: str, scale: float) -> tuple[Tensor, Tensor]:
    """KL(student || target), or KL(target || student) for forward_kl, in nats, summed over positions and times `scale`.

    Args:
        student: logits [n, V].
        target: log-probabilities [n, V].

    Returns:
        the divergence, and its gradient with respect to the student's logits.
    """
    student = torch.log_softmax(student, dim=-1)
    p = student.exp()
    if kind == "forward_kl":
        q = target.exp()
        return (q * (target - student)).sum() * scale, (p - q) * scale
    gap = student.sub_(target)
    kl = (p * gap).sum(-1, keepdim=True)
    return kl.sum() * scale, p.mul_(gap.sub_(kl)).mul_(scale)


def towards(network: Network, rows: Tensor, kind: str, scale: float) -> Term:
    """The divergence from another network's distributions at the same positions, times `scale`.

    Args:
        rows: that network's body output [n, d].
        kind: of `divergence`.
    """

    def term(logits: Tensor, part: slice) -> tuple[Tensor, Tensor]:
        return divergence(logits, torch.log_softmax(network.subs(rows[part]), dim=-1), kind, scale)

    return term


def sdtt_loss(student: Network, teacher: Network, batch: Noised, seeds: Tensor, dt: float, time_grid: str, kind: str) -> Tensor:
    """Mean over masked positions of the divergence between the student's one step and the teacher's two, in nats.

    Args:
        batch, seeds, dt, time_grid: as in `sdtt_rows`.
        kind: of `divergence`.
    """
    of_teacher = sdtt_rows(teacher, batch, seeds, dt, time_grid)
    batch = batch.map(partial(send, device=of_teacher.device))
    rows = student.rows(batch.z, batch.masked, masked=batch.masked)
    return head_loss(student, rows, towards(teacher, of_teacher, kind, 1 / max(1, len(batch.masked))))
