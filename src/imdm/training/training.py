"""A network and how to train it: what every training says of itself, and the loop asks."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from imdm.network.ema import Ema
from imdm.network.sizes import Sizes, step_flops
from imdm.params import Optimizer, Runtime
from imdm.stage.device import prepare


class Training(nn.Module):
    """A network and how to train it; subclasses say what the loss of a part of a step's batch is.

    Args:
        network: the weights that are trained.
        settings: steps, batch, learning rate, moving average.
        seed: root of all the training's randomness.

    Attributes:
        device: where the network is.
        name: the parameters' block that holds its settings.
        round_number: of a distillation in rounds, from 1.
        part: (first row, number of rows) of the global batch that this device takes in the pass that is on.
    """

    name: str
    round_number = 1

    def __init__(self, network: nn.Module, settings: Optimizer, seed: int):
        super().__init__()
        self.network, self.settings, self.seed = network, settings, seed
        self.ema = Ema(network, settings.ema)
        self.device, self.part = torch.device("cpu"), (0, settings.batch_size)

    @property
    def length(self) -> int:
        """L, tokens of a sequence."""
        return self.network.config.seq_len

    @abstractmethod
    def loss(self, step: int) -> Tensor:
        """Loss of `part` of step `step`, so weighted that its mean over equal parts is the loss of the global batch."""

    def flops(self, step: int) -> float:
        """Counted operations of step `step` on the global batch: matrices and attention, forward and backward."""
        return step_flops(Sizes(self.network.config), self.settings, step, self.settings.batch_size, round_number=self.round_number)

    def forward(self, step: int) -> Tensor:
        return self.loss(step)

    def place(self, runtime: Runtime, device: torch.device) -> None:
        """Put all that the loss needs on the device, as the runtime parameters ask for it."""
        self.device, self.network = device, prepare(self.network, runtime, device).train()
        self.ema.to(device)
