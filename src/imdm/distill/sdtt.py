"""Self-distillation through time (SDTT): two teacher steps become one student step."""

from __future__ import annotations

import torch
from torch import Tensor

from imdm.diffusion.counter import Stream, bits, uniform
from imdm.diffusion.nelbo import Noised
from imdm.models.dit import Network
from imdm.sampling.categorical import draw


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
def sdtt_target(teacher: Network, batch: Noised, seeds: Tensor, dt: float, time_grid: str = "corrected") -> Tensor:
    """Log-probabilities that the student learns at the masked positions.

    A position that the first step unmasks keeps that step's prediction; all others get the second step's,
    made with the first one's tokens in place. Keys stay over both steps, and the student sees the same ones.

    Args:
        teacher: in eval mode.
        batch: z_t.
        seeds: int64 [B], of the teacher's draws.
        dt: the teacher's step.

    Returns:
        float32 [n, V] in the order of `batch.masked`.
    """
    length = batch.z.shape[1]
    rows, columns = batch.masked // length, batch.masked % length
    chance = unmask_first(batch.t, dt, time_grid)[rows]
    first = uniform(bits(seeds[rows], Stream.SUBSTEP, 0, columns)) < chance
    target = torch.empty(len(rows), teacher.config.vocab_size, device=batch.z.device)

    logits = teacher(batch.z, batch.masked[first])
    target[first] = torch.log_softmax(logits, dim=-1)
    z = batch.z.clone()
    z.view(-1)[batch.masked[first]] = draw(logits, uniform(bits(seeds[rows], Stream.SUBSTEP, 1, columns))[first])
    target[~first] = torch.log_softmax(teacher(z, batch.masked[~first]), dim=-1)
    return target


def divergence(student_logits: Tensor, target: Tensor, kind: str = "reverse_kl") -> Tensor:
    """Mean over masked positions of KL(student || target), or of KL(target || student), in nats.

    Args:
        student_logits: [n, V].
        target: log-probabilities [n, V].
    """
    student = torch.log_softmax(student_logits, dim=-1)
    p, q = (student, target) if kind == "reverse_kl" else (target, student)
    return (p.exp() * (p - q)).sum(-1).mean()
