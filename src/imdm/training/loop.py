"""One training loop for every stage that trains, with exact resume.

A step's batch, masks, noise and dropout are functions of (seed, step) alone, so a checkpoint needs no
generator state and no position in the data: a run that was killed and continued ends with the same bytes.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import sys
import warnings
from abc import abstractmethod
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import Tensor, nn

from imdm.diffusion.counter import root_seed
from imdm.errors import UserError
from imdm.job import Job
from imdm.models.ema import Ema
from imdm.params import Optimizer
from imdm.runtime import precision_name, setup
from imdm.training.keeper import LOG_COLUMNS, Keeper

__all__ = ["LOG_COLUMNS", "Training", "fit"]


class Training(pl.LightningModule):
    """A network and how to train it; subclasses say what the loss of a part of a step's batch is.

    The optimizer is stepped here (Lightning's manual optimization), so that a Lightning step is an optimizer step
    whatever the number of passes that a batch is accumulated over.

    Args:
        network: the weights that are trained.
        optimizer: steps, learning rate, moving average.
        seed: root of all the training's randomness.
    """

    automatic_optimization = False

    def __init__(self, network: nn.Module, optimizer: Optimizer, seed: int):
        super().__init__()
        self.network, self.settings, self.seed = network, optimizer, seed
        self.ema = Ema(network, optimizer.ema)
        self.micro_batch: int | None = None
        self.passes = self.number = 0  # how many passes a step has, and which one is on

    @abstractmethod
    def loss(self, step: int) -> Tensor:
        """Mean loss over `part()` of the global batch of step `step`."""

    def part(self) -> tuple[int, int]:
        """(first row, number of rows) of the global batch that this device takes in this pass."""
        count = self.settings.batch_size // (self.trainer.world_size * self.passes)
        return (self.trainer.global_rank * self.passes + self.number) * count, count

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        step, optimizer, total = self.global_step, self.optimizers(), torch.zeros((), device=self.device)
        optimizer.zero_grad()
        for number in range(self.passes):
            self.number = number
            torch.manual_seed(root_seed(self.seed, f"dropout:{step}:{self.part()[0]}"))
            last = number == self.passes - 1
            with self.trainer.strategy.block_backward_sync() if self.trainer.world_size > 1 and not last else contextlib.nullcontext():
                loss = self.loss(step) / self.passes
                self.manual_backward(loss)
            total += loss.detach()
        self.clip_gradients(optimizer, self.settings.clip, "norm")
        optimizer.step()
        self.ema.update(self.network)  # here, so that a checkpoint after this step holds it
        self.lr_schedulers().step()
        return {"loss": total}

    def on_fit_start(self) -> None:
        world, size = self.trainer.world_size, self.settings.batch_size
        if size % world:
            raise UserError(f"batch_size = {size} can't be divided by {world} devices; make it a multiple.")
        most = self.micro_batch or size
        self.passes = next(n for n in range(1, size + 1) if (size // world) % n == 0 and size // (world * n) <= most)
        self.ema.shadow = [tensor.to(self.device) for tensor in self.ema.shadow]

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
    devices = runtime.devices or (torch.cuda.device_count() if device.type == "cuda" else 1)
    keeper = Keeper(job, checkpoint, tokens_per_step)
    trainer = pl.Trainer(
        max_steps=training.settings.steps,
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=devices,
        num_nodes=runtime.nodes,
        # Some parameters get no gradient in a warm start: it has no masks to embed.
        strategy="ddp_find_unused_parameters_true" if devices * runtime.nodes > 1 else "auto",
        # On one node this process starts the others, also within a Slurm job of one task.
        plugins=[LightningEnvironment()] if runtime.nodes == 1 else None,
        precision="bf16-mixed" if body_dtype else "32-true",
        callbacks=[keeper],
        logger=logger,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    training.micro_batch = runtime.micro_batch
    job.metrics |= {"precision": precision_name(body_dtype), "devices": trainer.world_size}
    # No generator state is stored, so the step counter in the checkpoint is all that the data depends on.
    trainer.fit(training, itertools.repeat(0), ckpt_path=checkpoint if checkpoint.exists() else None, weights_only=False)
    job.metrics |= keeper.metrics
    if not trainer.is_global_zero:
        sys.exit(0)  # the first process writes the artifact
