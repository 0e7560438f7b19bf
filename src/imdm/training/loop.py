"""One training loop for every stage that trains, with exact resume.

A step's batch, masks, noise and dropout are functions of (seed, step) alone, so a checkpoint needs no
generator state and no position in the data: a run that was killed and continued ends with the same bytes.
"""

from __future__ import annotations

import contextlib
import math
import sys
from abc import abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from imdm.diffusion.counter import root_seed
from imdm.network.ema import Ema
from imdm.network.sizes import Sizes, step_flops
from imdm.params import Optimizer, Runtime
from imdm.stage.chunks import Progress, no_progress
from imdm.stage.device import precision_name, prepare, setup
from imdm.training.checkpoints import LOG_COLUMNS, Checkpoints
from imdm.training.devices import OneDevice, open_devices

__all__ = ["LOG_COLUMNS", "Training", "fit"]


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
        """Mean loss over `part` of the global batch of step `step`."""

    def flops(self, step: int) -> float:
        """Counted operations of step `step` on the global batch: matrices and attention, forward and backward."""
        return step_flops(Sizes(self.network.config), self.settings, step, self.settings.batch_size, round_number=self.round_number)

    def forward(self, step: int) -> Tensor:
        return self.loss(step)

    def place(self, runtime: Runtime, device: torch.device) -> None:
        """Put all that the loss needs on the device, as the runtime parameters ask for it."""
        self.device, self.network = device, prepare(self.network, runtime, device).train()
        self.ema.to(device)


def learning_rate(settings: Optimizer, step: int) -> float:
    """Linear warmup, then constant, or a cosine to zero."""
    if step < settings.warmup:
        return settings.lr * ((step + 1) / settings.warmup)
    if settings.decay == "constant":
        return settings.lr
    return settings.lr * (0.5 + 0.5 * math.cos(math.pi * (step - settings.warmup) / max(1, settings.steps - settings.warmup)))


def fit(training: Training, folder: Path, runtime: Runtime, progress: Progress = no_progress) -> dict[str, Any]:
    """Train to the last step, continuing from what an interrupted run left; no step waits for the device.

    Args:
        folder: where train_log.csv is written, and `.resume/last.ckpt` kept.

    Returns:
        precision, number of devices, and what the log's last row has, for meta.json.

    Raises:
        UserError: the loss is no longer finite, or the devices can't share the batch.
        SystemExit: 143 after SIGTERM, when the checkpoint is written.
    """
    settings = training.settings
    device, body_dtype = setup(runtime)
    with open_devices(runtime, device, settings.batch_size) as devices:
        training.place(runtime, devices.device)
        weights = training.network.parameters()
        optimizer = torch.optim.AdamW(weights, settings.lr, (0.9, 0.999), 1e-8, settings.weight_decay, fused=True)
        with Checkpoints(training, optimizer, folder, runtime, devices, progress) as checkpoints:
            devices.wrap(training)
            for step in range(checkpoints.first, settings.steps):
                optimizer.param_groups[0]["lr"] = learning_rate(settings, step)
                optimizer.zero_grad()
                loss = accumulate(training, devices, step, runtime.micro_batch)
                nn.utils.clip_grad_norm_(training.network.parameters(), settings.clip)
                optimizer.step()
                training.ema.update(training.network)
                checkpoints.after_step(step + 1, loss, learning_rate(settings, step + 1), training.flops(step))
    if devices.rank:
        sys.exit(0)  # the first process goes on with what was trained
    return {"precision": precision_name(body_dtype), "devices": devices.world} | checkpoints.metrics


def accumulate(training: Training, devices: OneDevice, step: int, most: int | None) -> Tensor:
    """Gradients of a step, in equal passes of at most `most` sequences; returns this device's mean loss, a scalar on it."""
    share = training.settings.batch_size // devices.world
    passes = next(n for n in range(1, share + 1) if share % n == 0 and share // n <= (most or share))
    rows, total = share // passes, torch.zeros((), device=devices.device)
    for number in range(passes):
        first = (devices.rank * passes + number) * rows
        training.part = first, rows
        torch.manual_seed(root_seed(training.seed, f"dropout:{step}:{first}"))
        with devices.gather_later() if number < passes - 1 else contextlib.nullcontext():
            loss = devices.model(step) / passes
            devices.backward(loss)
        total += loss.detach()
    return total
