"""One round of Di4C as a training."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from imdm.diffusion.counter import Stream, bits, root_seed, row_seeds, uniform
from imdm.diffusion.nelbo import Noised
from imdm.diffusion.schedule import mask_probability
from imdm.diffusion.states import mask_where
from imdm.distill.di4c import di4c_loss, draw_time
from imdm.network.checkpoint import share_weights
from imdm.network.config import NetworkConfig
from imdm.network.network import Network
from imdm.params import Di4c
from imdm.stage.device import send
from imdm.training.distillation import DistillTraining


def mixture_student(teacher: Network, latent_hidden: int, seed: int) -> Network:
    """A student with its teacher's weights; where the teacher is an MDM, with a latent projection of its own."""
    if teacher.config.latent_hidden is not None:
        return copy.deepcopy(teacher).requires_grad_(True)
    torch.manual_seed(root_seed(seed, "di4c"))
    student = Network(NetworkConfig(**teacher.config.model_dump() | {"latent_hidden": latent_hidden}))
    share_weights(student, teacher)
    return student


class Di4cTraining(DistillTraining):
    """A mixture student that learns from its teacher, from real text, and from itself a step later."""

    def __init__(self, student: Network, teacher: Network, settings: Di4c, round_number: int, seed: int, blocks: np.ndarray):
        super().__init__(student, teacher, settings, f"di4c:{round_number}", seed, blocks, round_number)

    def loss(self, step: int) -> Tensor:
        x, first = self.rows(step)
        x = send(x, self.device)
        seeds = row_seeds(self.draws, step * self.settings.batch_size + first, len(x), x.device)
        t = torch.full((len(x),), draw_time(self.draws, step, self.settings), dtype=torch.float64, device=x.device)
        u = uniform(bits(seeds[:, None], Stream.MASK, torch.arange(x.shape[1], device=x.device)))
        mask = u < mask_probability(t)[:, None]
        z = mask_where(x, mask, seeds, self.network.config.vocab_size)
        return di4c_loss(self.network, self.teacher, Noised(z, x, mask.flatten().nonzero().squeeze(1), t), seeds, self.settings)
