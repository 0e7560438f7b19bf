"""One round of SDTT as a training."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from imdm.diffusion.counter import root_seed, row_seeds
from imdm.diffusion.nelbo import forward_process
from imdm.distill.sdtt import divergence, sdtt_target, teacher_step
from imdm.models.dit import Network
from imdm.params import Sdtt
from imdm.training.pretrain import BlockTraining


class SdttTraining(BlockTraining):
    """A student that starts as its teacher and learns two of its steps in one."""

    def __init__(self, student: Network, teacher: Network, settings: Sdtt, round_number: int, seed: int, blocks: np.ndarray):
        super().__init__(student, settings, seed, blocks)
        self.dt = teacher_step(settings.base_steps, round_number)
        self.draws = root_seed(seed, f"sdtt:{round_number}")
        # In a list, so that neither the optimizer nor the checkpoint takes the teacher's weights for the student's.
        self.frozen = [teacher.eval().requires_grad_(False)]

    def on_fit_start(self) -> None:
        super().on_fit_start()
        self.frozen[0].to(self.device)

    def loss(self, step: int) -> Tensor:
        x, first = self.rows(step)
        count = self.settings.batch_size
        batch = forward_process(x, self.draws, step, first, count, self.network.config.vocab_size)
        seeds = row_seeds(self.draws, step * count + first, len(x), x.device)
        target = sdtt_target(self.frozen[0], batch, seeds, self.dt, self.settings.time_grid)
        return divergence(self.network(batch.z, batch.masked), target, self.settings.divergence)
