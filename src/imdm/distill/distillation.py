"""What trainings by a frozen teacher have in common."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from imdm.diffusion.counter import row_seeds
from imdm.diffusion.nelbo import Noised
from imdm.network.network import Network
from imdm.params import Optimizer, Runtime
from imdm.stage.device import prepare_frozen
from imdm.training.pretrain import NoisedTraining


class DistillTraining(NoisedTraining):
    """A student that learns from a teacher on packed blocks; `draws` names the training and its round."""

    def __init__(
        self, student: Network, teacher: Network, settings: Optimizer, draws: str, seed: int, blocks: np.ndarray, round_number: int = 1
    ):
        super().__init__(student, settings, draws, seed, blocks)
        self.round_number = round_number
        # In a list, so that neither the optimizer nor the checkpoint takes the teacher's weights for the student's.
        self.frozen = [teacher.eval().requires_grad_(False)]

    @property
    def teacher(self) -> Network:
        return self.frozen[0]

    def seeds(self, step: int) -> Tensor:
        """One of each row of this device's part, int64 [b] on the CPU."""
        first, count = self.part
        return row_seeds(self.draws, step * self.settings.batch_size + first, count)

    def weight(self, batch: Noised, step: int) -> float:
        """Weight in `loss` of a mean over the masked positions of this part: 1 where it is the whole step, or masks its share.

        Parts differ in what they mask, since their times are neighbouring strata.
        """
        count = self.settings.batch_size
        if len(batch.x) == count:
            return 1.0
        whole = self.noised(torch.zeros(count, self.length, dtype=torch.int64), step, 0)
        return len(batch.masked) / max(1, len(whole.masked)) * (count / len(batch.x))

    def place(self, runtime: Runtime, device: torch.device) -> None:
        super().place(runtime, device)
        prepare_frozen(self.teacher, runtime, device)
