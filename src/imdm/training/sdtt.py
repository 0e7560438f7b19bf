"""One round of SDTT as a training."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from imdm.diffusion.counter import row_seeds
from imdm.diffusion.nelbo import forward_process
from imdm.distill.sdtt import sdtt_loss, teacher_step
from imdm.network.network import Network
from imdm.params import Sdtt
from imdm.training.distillation import DistillTraining


class SdttTraining(DistillTraining):
    """A student that starts as its teacher and learns two of its steps in one."""

    def __init__(self, student: Network, teacher: Network, settings: Sdtt, round_number: int, seed: int, blocks: np.ndarray):
        super().__init__(student, teacher, settings, f"sdtt:{round_number}", seed, blocks, round_number)
        self.dt = teacher_step(settings.base_steps, round_number)

    def loss(self, step: int) -> Tensor:
        x, first = self.rows(step)
        count = self.settings.batch_size
        batch = forward_process(x, self.draws, step, first, count, self.network.config.vocab_size)
        seeds = row_seeds(self.draws, step * count + first, len(x))
        return sdtt_loss(self.network, self.teacher, batch, seeds, self.dt, self.settings.time_grid, self.settings.divergence)
