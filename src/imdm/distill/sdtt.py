"""Self-distillation through time (SDTT): two teacher steps become one student step."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from imdm.diffusion.counter import Stream, bits, uniform
from imdm.diffusion.nelbo import Noised
from imdm.distill.distillation import DistillTraining, distillation_loss
from imdm.errors import UserError
from imdm.network.checkpoint import read_checkpoint, read_tensors
from imdm.network.network import Network
from imdm.params import Sdtt
from imdm.sampling.categorical import draw_tokens
from imdm.stage.device import send


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


def sdtt_loss(student: Network, teacher: Network, batch: Noised, seeds: Tensor, dt: float, time_grid: str, kind: str) -> Tensor:
    """`distillation_loss` from the teacher's two steps, as `sdtt_rows` has them."""
    return distillation_loss(student, teacher, sdtt_rows(teacher, batch, seeds, dt, time_grid), batch, kind)


class SdttTraining(DistillTraining):
    """A student that starts as its teacher and learns two of its steps in one."""

    name = "sdtt"
    settings: Sdtt

    def __init__(self, student: Network, teacher: Network, settings: Sdtt, round_number: int, seed: int, blocks: np.ndarray):
        super().__init__(student, teacher, settings, f"sdtt:{round_number}", seed, blocks, round_number)
        self.dt = teacher_step(settings.base_steps, round_number)
        if settings.carry:
            self.done, self.total = (round_number - 1) * settings.steps, settings.rounds * settings.steps

    def go_on(self, path: str | Path) -> None:
        """Carry over what the round before has left. Raises UserError: it has left no optimizer state."""
        optimizer = read_tensors(path, "optimizer.")
        if not optimizer:
            raise UserError(f"{path} has no optimizer state; make it with sdtt.carry: true, or set that to false here too.")
        self.carry(read_checkpoint(path)[2], optimizer)

    def loss(self, step: int) -> Tensor:
        batch, settings = self.batch(step), self.settings
        loss = sdtt_loss(self.network, self.teacher, batch, self.seeds(step), self.dt, settings.time_grid, settings.divergence)
        return self.weight(batch, step) * loss
