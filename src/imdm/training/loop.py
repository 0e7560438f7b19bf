"""One training loop for every stage that trains, with exact resume.

A step's batch, masks, noise and dropout are functions of (seed, step) alone, so a checkpoint needs no
generator state and no position in the data: a run that was killed and continued ends with the same bytes.
"""

from __future__ import annotations

import csv
import itertools
import logging
import math
import os
import signal
import sys
import time
import warnings
from abc import abstractmethod
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from imdm.diffusion.counter import root_seed
from imdm.errors import UserError
from imdm.job import Job
from imdm.models.ema import Ema
from imdm.params import Optimizer
from imdm.runtime import precision_name, setup

_LOG_ROWS = 200  # rows of train_log.csv that a training aims at


class Training(pl.LightningModule):
    """A network and how to train it; subclasses say what the loss of a step is.

    Args:
        network: the weights that are trained.
        optimizer: steps, learning rate, moving average.
        seed: root of all the training's randomness.
    """

    def __init__(self, network: nn.Module, optimizer: Optimizer, seed: int):
        super().__init__()
        self.network, self.settings, self.seed = network, optimizer, seed
        self.ema = Ema(network, optimizer.ema)

    @abstractmethod
    def loss(self, step: int) -> Tensor:
        """Mean loss of this device's part of global step `step`."""

    def part(self) -> tuple[int, int]:
        """(first row, number of rows) of the global batch that this device takes.

        Raises:
            UserError: the batch can't be divided by the number of devices.
        """
        world = self.trainer.world_size
        if self.settings.batch_size % world:
            raise UserError(f"batch_size = {self.settings.batch_size} can't be divided by {world} devices; make it a multiple.")
        count = self.settings.batch_size // world
        return self.trainer.global_rank * count, count

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        torch.manual_seed(root_seed(self.seed, f"dropout:{self.global_step}:{self.global_rank}"))
        return self.loss(self.global_step)

    def on_fit_start(self) -> None:
        self.ema.shadow = [tensor.to(self.device) for tensor in self.ema.shadow]

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.ema.update(self.network)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["ema"] = self.ema.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.ema.load_state_dict(checkpoint["ema"])

    def configure_optimizers(self) -> dict[str, Any]:
        settings = self.settings
        adamw = torch.optim.AdamW(self.network.parameters(), settings.lr, (0.9, 0.999), 1e-8, settings.weight_decay, fused=True)

        def factor(step: int) -> float:
            if step < settings.warmup:
                return (step + 1) / settings.warmup
            if settings.decay == "constant":
                return 1.0
            return 0.5 + 0.5 * math.cos(math.pi * (step - settings.warmup) / max(1, settings.steps - settings.warmup))

        schedule = torch.optim.lr_scheduler.LambdaLR(adamw, factor)
        return {"optimizer": adamw, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class _Keeper(pl.Callback):
    """Writes train_log.csv and the resume checkpoint, moves the progress bar, and stops cleanly on SIGTERM."""

    def __init__(self, job: Job, checkpoint: Path, tokens_per_step: int):
        self.job, self.checkpoint, self.tokens_per_step = job, checkpoint, tokens_per_step
        self.table = job.dir / "train_log.csv"
        self.stop = False
        self.saved = self.started = time.monotonic()
        self.total, self.count, self.seconds_before = 0.0, 0, 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"total": float(self.total), "count": self.count, "seconds": self._seconds()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.total, self.count, self.seconds_before = state["total"], state["count"], state["seconds"]

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    def on_train_start(self, trainer: pl.Trainer, training: pl.LightningModule) -> None:
        signal.signal(signal.SIGTERM, self._on_sigterm)
        first = trainer.global_step
        self.first, self.started = first, time.monotonic()
        rows = list(csv.reader(self.table.open())) if self.table.exists() else []
        with self.table.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["step", "loss", "lr", "tokens_per_second", "seconds"])
            writer.writerows(row for row in rows[1:] if int(row[0]) <= first)
        self.bar = self.job.progress(trainer.max_steps, "step", initial=first)
        self.every = max(1, trainer.max_steps // _LOG_ROWS)

    def _on_sigterm(self, *_: Any) -> None:
        self.stop = True

    def on_train_batch_end(self, trainer: pl.Trainer, training: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        step = trainer.global_step
        self.total, self.count = self.total + outputs["loss"].detach(), self.count + 1
        self.bar.update()
        if step % self.every == 0 or step == trainer.max_steps:
            self._write_row(trainer, step)
        if self.stop or time.monotonic() - self.saved > self.job.params.runtime.checkpoint_seconds:
            trainer.save_checkpoint(self.checkpoint.with_suffix(".tmp"))
            os.replace(self.checkpoint.with_suffix(".tmp"), self.checkpoint)
            self.saved = time.monotonic()
        if self.stop:
            print(f"{self.job.stage}: stopped at step {step} and saved; run again to continue.", file=sys.stderr)
            sys.exit(143)

    def _write_row(self, trainer: pl.Trainer, step: int) -> None:
        loss = float(self.total) / self.count
        if not math.isfinite(loss):
            raise UserError(f"the loss is {loss} at step {step}; lower the learning rate of {self.job.stage} or its clip.")
        self.total, self.count = 0.0, 0
        rate = (step - self.first) * self.tokens_per_step / (time.monotonic() - self.started)
        lr = trainer.optimizers[0].param_groups[0]["lr"]
        with self.table.open("a", newline="") as file:
            csv.writer(file).writerow([step, f"{loss:.6g}", f"{lr:.4g}", f"{rate:.0f}", f"{self._seconds():.1f}"])
        self.bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        self.job.metrics |= {"loss": loss, "tokens_per_second": round(rate), "train_seconds": round(self._seconds(), 1)}


def fit(job: Job, training: Training, tokens_per_step: int) -> None:
    """Train to the last step, continuing from what an interrupted run left.

    Args:
        job: the stage; writes train_log.csv and keeps `.resume/last.ckpt` below `job.dir`.
        tokens_per_step: tokens of the global batch, for the throughput.

    Raises:
        UserError: the loss is no longer finite.
        SystemExit: 143 after SIGTERM, when the checkpoint is written.
    """
    runtime = job.params.runtime
    device, body_dtype = setup(runtime)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # what it says of devices is in meta.json
    warnings.filterwarnings("ignore", module="lightning")
    checkpoint = job.dir / ".resume" / "last.ckpt"
    checkpoint.parent.mkdir(exist_ok=True)
    logger: Any = False
    if runtime.tensorboard:
        from lightning.pytorch.loggers import TensorBoardLogger

        logger = TensorBoardLogger(Path("logs") / "tensorboard", name=f"{job.params.run}-{job.args.out.replace('/', '-')}")
    trainer = pl.Trainer(
        max_steps=training.settings.steps,
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices="auto" if device.type == "cuda" else 1,
        precision="bf16-mixed" if body_dtype else "32-true",
        gradient_clip_val=training.settings.clip,
        callbacks=[_Keeper(job, checkpoint, tokens_per_step)],
        logger=logger,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    job.metrics["precision"] = precision_name(body_dtype)
    # No generator state is stored, so the step counter in the checkpoint is all that the data depends on.
    trainer.fit(training, itertools.repeat(0), ckpt_path=checkpoint if checkpoint.exists() else None, weights_only=False)
