"""Keyed distillation as a training."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from imdm.diffusion.counter import Stream, bits, row_seeds, uniform
from imdm.diffusion.nelbo import Noised
from imdm.diffusion.schedule import stratified_times
from imdm.diffusion.states import keyed_masks, mask_where
from imdm.distill.keyed import consistency_loss, keyed_loss
from imdm.network.network import Network
from imdm.params import Keyed, Runtime
from imdm.stage.device import prepare
from imdm.training.distillation import DistillTraining


class KeyedTraining(DistillTraining):
    """A student that starts as its teacher and learns, from the keys alone, what several of its steps make of a block."""

    def __init__(self, student: Network, teacher: Network, settings: Keyed, seed: int, blocks: np.ndarray):
        super().__init__(student, teacher, settings, "keyed", seed, blocks)
        if settings.target == "consistency":
            self.frozen.append(copy.deepcopy(student).eval().requires_grad_(False))

    def place(self, runtime: Runtime, device: torch.device) -> None:
        super().place(runtime, device)
        for average in self.frozen[1:]:
            for parameter, shadow in zip(prepare(average, runtime, device).parameters(), self.ema.shadow, strict=True):
                parameter.data = shadow  # one memory: the network follows the moving average without a copy

    def batch(self, step: int) -> Noised:
        """This device's part of a step's blocks, on the CPU; the first `from_start` of the global batch are all masked."""
        x, first = self.rows(step)
        count = self.settings.batch_size
        whole = round(self.settings.from_start * count)
        offset = uniform(bits(torch.tensor(self.draws), Stream.LEVEL, step))
        t = torch.cat([torch.ones(whole, dtype=torch.float64), stratified_times(offset, count - whole)])[first : first + len(x)]
        seeds = row_seeds(self.draws, step * count + first, len(x))
        masked = keyed_masks(seeds, t, x.shape[1])
        z = mask_where(x, masked, seeds, self.network.config.vocab_size)
        return Noised(z, x, masked.flatten().nonzero().squeeze(1), t)

    def loss(self, step: int) -> Tensor:
        batch, steps, kind = self.batch(step), self.settings.teacher_steps, self.settings.divergence
        if self.settings.target == "trajectory":
            return keyed_loss(self.network, self.teacher, batch, steps, kind)
        return consistency_loss(self.network, *self.frozen, batch, 1 / steps, kind)
