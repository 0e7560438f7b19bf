"""What trainings by a frozen teacher have in common."""

from __future__ import annotations

import numpy as np
import torch

from imdm.diffusion.counter import root_seed
from imdm.network.network import Network
from imdm.params import Optimizer, Runtime
from imdm.stage.device import prepare_frozen
from imdm.training.pretrain import BlockTraining


class DistillTraining(BlockTraining):
    """A student that learns from a teacher on packed blocks; `draws` names the training and its round, whose draws no other has."""

    def __init__(
        self, student: Network, teacher: Network, settings: Optimizer, draws: str, seed: int, blocks: np.ndarray, round_number: int = 1
    ):
        super().__init__(student, settings, seed, blocks)
        self.round_number = round_number
        self.draws = root_seed(seed, draws)
        # In a list, so that neither the optimizer nor the checkpoint takes the teacher's weights for the student's.
        self.frozen = [teacher.eval().requires_grad_(False)]

    @property
    def teacher(self) -> Network:
        return self.frozen[0]

    def place(self, runtime: Runtime, device: torch.device) -> None:
        super().place(runtime, device)
        prepare_frozen(self.teacher, runtime, device)
