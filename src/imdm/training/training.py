"""A network and how to train it: what every training says of itself, and the loop asks."""

from __future__ import annotations

from abc import abstractmethod
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from imdm.network.ema import Ema
from imdm.network.network import Network
from imdm.network.sizes import Sizes, step_flops
from imdm.params import Optimizer, Runtime
from imdm.stage.device import prepare

_STATE = ("step", "exp_avg", "exp_avg_sq")  # of AdamW for each weight


N = TypeVar("N", bound=nn.Module)


class Training(nn.Module, Generic[N]):
    """A network and how to train it; subclasses say what the loss of a part of a step's batch is.

    Of another kind of network than ours, they also say its length, its operations and how it is placed.

    Args:
        network: the weights that are trained.
        settings: steps, batch, learning rate, moving average.
        seed: root of all the training's randomness.

    Attributes:
        device: where the network is.
        name: the parameters' block that holds its settings.
        round_number: of a distillation in rounds, from 1.
        part: (first row, number of rows) of the global batch that this device takes in the pass that is on.
        done, total: steps of the schedule before this training, and of all of it, where earlier rounds belong to it.
        optimizer: AdamW, when the training is placed.
    """

    name: str
    network: N
    settings: Optimizer
    round_number = 1

    def __init__(self, network: N, settings: Optimizer, seed: int):
        super().__init__()
        self.network, self.settings, self.seed = network, settings, seed
        self.ema = Ema(network, settings.ema)
        self.device, self.part = torch.device("cpu"), (0, settings.batch_size)
        self.done, self.total = 0, settings.steps
        self.carried: dict[str, Tensor] = {}

    @property
    def length(self: Training[Network]) -> int:
        """L, tokens of a sequence."""
        return self.network.config.seq_len

    @abstractmethod
    def loss(self, step: int) -> Tensor:
        """Loss of `part` of step `step`, so weighted that its mean over equal parts is the loss of the global batch."""

    def flops(self: Training[Network], step: int) -> float:
        """Counted operations of step `step` on the global batch: matrices and attention, forward and backward."""
        return step_flops(Sizes(self.network.config), self.settings, step, self.settings.batch_size, round_number=self.round_number)

    def forward(self, step: int) -> Tensor:
        return self.loss(step)

    def place(self: Training[Network], runtime: Runtime, device: torch.device) -> None:
        """Put all that the loss needs on the device, as the runtime parameters ask for it."""
        self.device, self.network = device, prepare(self.network, runtime, device).train()
        self.ema.to(device)

    def make_optimizer(self) -> torch.optim.AdamW:
        """AdamW of the placed weights, with the state that is carried."""
        settings, carried, weights = self.settings, self.carried, dict(self.network.named_parameters())
        self.optimizer = torch.optim.AdamW(weights.values(), settings.lr, (0.9, 0.999), 1e-8, settings.weight_decay, fused=True)
        if carried:
            state = {i: {key: carried[f"{key}.{name}"] for key in _STATE} for i, name in enumerate(weights) if f"step.{name}" in carried}
            self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})
            self.carried = {}
        return self.optimizer

    def carry(self, average: dict[str, Tensor], optimizer: dict[str, Tensor]) -> None:
        """Go on with a moving average, by names of the weights, and an `optimizer_state`, `done` steps after they began."""
        self.ema.load_state_dict({"updates": self.done, "shadow": average})
        self.carried = optimizer

    def optimizer_state(self) -> dict[str, Tensor]:
        """AdamW's state of every weight that had a gradient, by KEY.NAME."""
        names: dict[Tensor, str] = {weight: name for name, weight in self.network.named_parameters()}
        return {f"{key}.{names[weight]}": values[key] for weight, values in self.optimizer.state.items() for key in _STATE}
