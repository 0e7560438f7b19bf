"""TensorBoard and DVCLive, besides train_log.csv: each shows the rows of that file, whatever interrupted the training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = tuple[int, dict[str, float]]  # of train_log.csv: a step and its values


class TensorBoard:
    """Event files; those of steps that a resumed training does again are purged."""

    def __init__(self, folder: Path, rows: list[Row]):
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(folder, purge_step=rows[-1][0] + 1 if rows else 1)

    def add(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        self.writer.close()


class DvcLive:
    """A TSV a value, which `dvc plots` and editors show; DVC's experiments are left to `dvc exp`, so none is saved here."""

    def __init__(self, folder: Path, rows: list[Row]):
        from dvclive import Live

        self.live: Any = Live(str(folder), save_dvc_exp=False, dvcyaml=None)
        for step, values in rows:  # it can only go on from its own last step, and a killed training goes on from an earlier one
            self.add(step, values)

    def add(self, step: int, values: dict[str, float]) -> None:
        self.live.step = step
        for name, value in values.items():
            self.live.log_metric(name, value)
        self.live.make_summary()

    def close(self) -> None:
        self.live.end()


Logger = TensorBoard | DvcLive
LOGGERS: dict[str, type[Logger]] = {"tensorboard": TensorBoard, "dvclive": DvcLive}


def open_loggers(names: Sequence[str], training: str, rows: list[Row]) -> list[Logger]:
    """The loggers of a training, each in logs/LOGGER/TRAINING; `rows` are those of the steps that are done."""
    return [LOGGERS[name](Path("logs") / name / training, rows) for name in names]
