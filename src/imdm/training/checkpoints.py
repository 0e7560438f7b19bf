"""What a training leaves on disk while it runs: its log and its checkpoint, and a clean stop."""

from __future__ import annotations

import csv
import math
import pickle
import signal
import sys
import time
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from imdm.errors import UserError
from imdm.files import broken_zip
from imdm.network.ema import Ema
from imdm.params import Runtime
from imdm.stage.chunks import Progress
from imdm.stage.device import bfloat16_peak
from imdm.training.devices import OneDevice
from imdm.training.loggers import Logger, open_loggers
from imdm.training.training import Training
from imdm.writing import whole

LOG_COLUMNS = ("step", "loss", "lr", "tokens_per_second", "seconds")  # of train_log.csv
_LOG_ROWS = 200  # rows that a training aims at


class Checkpoints:
    """Writes train_log.csv and the resume checkpoint, moves the progress bar, and stops cleanly on SIGTERM and SIGINT.

    With several devices the first one writes; all of them agree on when to save and when to stop, and stay until it has saved.

    Args:
        folder: where train_log.csv goes, and the checkpoint, .resume/last.ckpt.

    Attributes:
        first: the step to go on with.
        metrics: of the last row, for meta.json: loss, tokens and operations a second (of one device), and on a GPU that is
            known by name the share of its bfloat16 peak (model FLOPs utilization).
    """

    def __init__(
        self, training: Training[Any], optimizer: Optimizer, folder: Path, runtime: Runtime, devices: OneDevice, progress: Progress
    ):
        self.folder, self.runtime, self.devices, self.progress = folder, runtime, devices, progress
        self.parts: dict[str, nn.Module | Optimizer | Ema] = {"network": training.network, "optimizer": optimizer, "ema": training.ema}
        self.name, self.steps = training.name, training.settings.steps
        self.tokens_per_step = training.settings.batch_size * training.length
        self.checkpoint, self.table = folder / ".resume" / "last.ckpt", folder / "train_log.csv"
        self.every, self.stop = max(1, self.steps // _LOG_ROWS), False
        self.first, self.total, self.count, self.seconds_before = 0, torch.zeros((), device=devices.device), 0, 0.0
        self.metrics: dict[str, float] = {}
        self.rows: list[list[str]] = []  # of train_log.csv
        self.loggers: list[Logger] = []
        self.flops, self.peak = 0.0, bfloat16_peak(devices.device)

    def __enter__(self) -> Self:
        self.before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        if self.checkpoint.exists():
            self._resume()
        self.saved = self.started = time.monotonic()
        if self.devices.rank == 0:
            self.checkpoint.parent.mkdir(exist_ok=True, parents=True)
            with self.table.open("w", newline="") as file:
                csv.writer(file).writerows([LOG_COLUMNS, *self.rows])
            values = [(int(row[0]), dict(zip(LOG_COLUMNS[1:4], map(float, row[1:4])))) for row in self.rows]
            name = str(self.folder).removesuffix(".partial").replace("/", "-")
            self.loggers = open_loggers(self.runtime.loggers, name, self.checkpoint.parent, values)
        self.bar = self.progress(self.steps, "step", initial=self.first)
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.bar.close()
        for logger in self.loggers:
            logger.finalize("success")

    def _on_signal(self, *_: Any) -> None:
        self.stop = True

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    def _save(self, step: int) -> None:
        if self.devices.rank == 0:
            log = {"total": float(self.total), "count": self.count, "seconds": self._seconds(), "metrics": self.metrics, "rows": self.rows}
            state = {"step": step, "log": log} | {name: part.state_dict() for name, part in self.parts.items()}
            with whole(self.checkpoint) as beside, beside.open("wb") as file:
                torch.save(state, file)
        self.saved = time.monotonic()

    def _resume(self) -> None:
        fault = broken_zip(self.checkpoint)
        try:
            state = {} if fault else torch.load(self.checkpoint, map_location=self.devices.device, weights_only=True)
            step, log = state["step"], state["log"]
            self.rows = log["rows"]
        except (KeyError, pickle.UnpicklingError):
            if self.devices.rank == 0:
                reason = f"is damaged ({fault})" if fault else "was written by an older version"
                print(f"{self.name}: {self.checkpoint} {reason}; the training starts anew.", file=sys.stderr)
            return
        self.first = step
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        self.total += log["total"]
        self.count, self.seconds_before, self.metrics = log["count"], log["seconds"], log["metrics"]

    def after_step(self, step: int, loss: Tensor, lr: float, flops: float) -> None:
        """Log, save and stop where due.

        Args:
            step: number of steps done.
            loss: of the last one, on this device.
            lr: learning rate of the next one.
            flops: operations of the last one, on all devices.
        """
        self.flops += flops
        self.total, self.count = self.total + loss, self.count + 1
        self.bar.update()
        if step % self.every == 0 or step == self.steps:
            self._log(step, lr)
        # After the last step too, since validation and saving may be interrupted as well.
        due = time.monotonic() - self.saved > self.runtime.checkpoint_seconds or step == self.steps
        stop, due = self.devices.any(self.stop, due)
        if stop or due:
            self._save(step)
        if stop:
            self.devices.wait()  # where one process ends, a launcher may kill the one that is saving
            if self.devices.rank == 0:
                print(f"{self.name}: stopped at step {step} and saved; run again to continue.", file=sys.stderr)
            # Lightning kills the process that started the others as soon as one of them ends with an error.
            sys.exit(0 if self.devices.local_rank else 143)

    def _log(self, step: int, lr: float) -> None:
        loss = float(self.devices.mean(self.total)) / self.count
        if not math.isfinite(loss):
            raise UserError(f"the loss is {loss} at step {step}; lower {self.name}.lr or {self.name}.clip.")
        self.total, self.count = torch.zeros_like(self.total), 0
        rate = (step - self.first) * self.tokens_per_step / (time.monotonic() - self.started)
        sustained = self.flops / (time.monotonic() - self.started) / self.devices.world
        self.metrics = {"loss": loss, "tokens_per_second": round(rate), "train_seconds": round(self._seconds(), 1)}
        self.metrics |= {"gflops_per_second": float(f"{sustained / 1e9:.4g}")}
        if self.peak:
            self.metrics["mfu"] = round(sustained / self.peak, 4)
        if self.devices.rank:
            return
        self.rows.append([str(step), f"{loss:.6g}", f"{lr:.4g}", f"{rate:.0f}", f"{self._seconds():.1f}"])
        with self.table.open("a", newline="") as file:
            csv.writer(file).writerow(self.rows[-1])
        self.bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        for logger in self.loggers:
            logger.log_metrics({"loss": loss, "lr": lr, "tokens_per_second": rate}, step)
