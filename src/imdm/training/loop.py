"""One training loop for every stage that trains, with exact resume.

A step's batch, masks, noise and dropout are functions of (seed, step) alone, so a checkpoint needs no
generator state and no position in the data: a run that was killed and continued ends with the same bytes.
"""

from __future__ import annotations

import contextlib
import math
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from imdm.diffusion.counter import root_seed
from imdm.params import Runtime
from imdm.stage.chunks import Progress, no_progress
from imdm.stage.device import precision_name, setup
from imdm.training.checkpoints import Checkpoints
from imdm.training.devices import OneDevice, open_devices
from imdm.training.training import Training


def learning_rate(training: Training[Any], step: int) -> float:
    """Linear warmup, then constant, or a cosine to zero, over the whole of the training's schedule."""
    settings, step = training.settings, training.done + step
    if step < settings.warmup:
        return settings.lr * ((step + 1) / settings.warmup)
    if settings.decay == "constant":
        return settings.lr
    return settings.lr * (0.5 + 0.5 * math.cos(math.pi * (step - settings.warmup) / max(1, training.total - settings.warmup)))


def fit(training: Training[Any], folder: Path, runtime: Runtime, progress: Progress = no_progress) -> dict[str, Any]:
    """Train to the last step, continuing from what an interrupted run left; no step waits for the device.

    Args:
        folder: where train_log.csv is written, and `.resume/last.ckpt` kept.

    Returns:
        precision, number of devices, and what the log's last row has, for meta.json.

    Raises:
        UserError: the loss is no longer finite, or the devices can't share the batch.
        SystemExit: 143 after SIGTERM or SIGINT, when the checkpoint is written; 0 in all but the first process of a machine.
    """
    settings = training.settings
    device, body_dtype = setup(runtime)
    with open_devices(runtime, device, settings.batch_size) as devices:
        training.place(runtime, devices.device)
        optimizer = training.make_optimizer()
        with Checkpoints(training, optimizer, folder, runtime, devices, progress) as checkpoints:
            devices.wrap(training)
            for step in range(checkpoints.first, settings.steps):
                optimizer.param_groups[0]["lr"] = learning_rate(training, step)
                optimizer.zero_grad()
                loss = accumulate(training, devices, step, runtime.micro_batch)
                nn.utils.clip_grad_norm_(training.network.parameters(), settings.clip)
                optimizer.step()
                training.ema.update(training.network)
                checkpoints.after_step(step + 1, loss, learning_rate(training, step + 1), training.flops(step))
    if devices.rank:
        sys.exit(0)  # the first process goes on with what was trained
    return {"precision": precision_name(body_dtype), "devices": devices.world} | checkpoints.metrics


def accumulate(training: Training[Any], devices: OneDevice, step: int, most: int | None) -> Tensor:
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
