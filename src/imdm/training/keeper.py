"""What watches over a training: log, checkpoints, a clean stop."""

from __future__ import annotations

import csv
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from imdm.errors import UserError
from imdm.job import Job

LOG_COLUMNS = ("step", "loss", "lr", "tokens_per_second", "seconds")  # of train_log.csv
_LOG_ROWS = 200  # rows that a training aims at


class Keeper(pl.Callback):
    """Writes train_log.csv and the resume checkpoint, moves the progress bar, and stops cleanly on SIGTERM.

    With several devices the first one writes; all of them agree on when to save and when to stop.

    Args:
        job: the stage.
        checkpoint: file from which an interrupted training goes on.
        tokens_per_step: tokens of the global batch, for the throughput.
    """

    def __init__(self, job: Job, checkpoint: Path, tokens_per_step: int):
        self.job, self.checkpoint, self.tokens_per_step = job, checkpoint, tokens_per_step
        self.table = job.dir / "train_log.csv"
        self.stop = False
        self.saved = self.started = time.monotonic()
        self.total, self.count, self.seconds_before = 0.0, 0, 0.0
        self.metrics: dict[str, float] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"total": float(self.total), "count": self.count, "seconds": self._seconds(), "metrics": self.metrics}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.total, self.count, self.seconds_before, self.metrics = (state[name] for name in ("total", "count", "seconds", "metrics"))

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    def on_train_start(self, trainer: pl.Trainer, training: pl.LightningModule) -> None:
        self.before = signal.signal(signal.SIGTERM, self._on_sigterm)
        first = trainer.global_step
        self.first, self.started = first, time.monotonic()
        if trainer.is_global_zero:
            rows = list(csv.reader(self.table.open())) if self.table.exists() else []
            with self.table.open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(LOG_COLUMNS)
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
        # After the last step too, since validation and saving may be interrupted as well.
        stop, due = self.stop, time.monotonic() - self.saved > self.job.params.runtime.checkpoint_seconds or step == trainer.max_steps
        if trainer.world_size > 1:
            stop, due = (trainer.strategy.reduce_boolean_decision(flag, all=False) for flag in (stop, due))
        if stop or due:
            trainer.save_checkpoint(self.checkpoint.with_suffix(".tmp"))
            if trainer.is_global_zero:
                os.replace(self.checkpoint.with_suffix(".tmp"), self.checkpoint)
            self.saved = time.monotonic()
        if stop:
            print(f"{self.job.stage}: stopped at step {step} and saved; run again to continue.", file=sys.stderr)
            sys.exit(143)

    def _write_row(self, trainer: pl.Trainer, step: int) -> None:
        loss = float(trainer.strategy.reduce(self.total, reduce_op="mean")) / self.count
        if not math.isfinite(loss):
            raise UserError(f"the loss is {loss} at step {step}; lower the learning rate of {self.job.stage} or its clip.")
        self.total, self.count = 0.0, 0
        if not trainer.is_global_zero:
            return
        rate = (step - self.first) * self.tokens_per_step / (time.monotonic() - self.started)
        lr = trainer.optimizers[0].param_groups[0]["lr"]
        with self.table.open("a", newline="") as file:
            csv.writer(file).writerow([step, f"{loss:.6g}", f"{lr:.4g}", f"{rate:.0f}", f"{self._seconds():.1f}"])
        self.bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        self.metrics = {"loss": loss, "tokens_per_second": round(rate), "train_seconds": round(self._seconds(), 1)}

    def on_train_end(self, trainer: pl.Trainer, training: pl.LightningModule) -> None:
        signal.signal(signal.SIGTERM, self.before)
