"""Lightning's loggers besides train_log.csv: each shows the rows of that file, whatever interrupted the training.

TensorBoard and DVCLive write below logs/, trackio and Weights & Biases where their own settings say (TRACKIO_DIR, WANDB_MODE, ...).
"""

from __future__ import annotations

import importlib.util
import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from imdm.errors import UserError
from imdm.files import said

Row = tuple[int, dict[str, float]]  # of train_log.csv: a step and its values
Logger = Any  # log_metrics and finalize of lightning.fabric.loggers.Logger, whose import takes a second

PROJECT = "imdm"  # of trackio and W&B


def _tensorboard(training: str, run: str, rows: list[Row]) -> Logger:
    """Event files; those of steps that a resumed training does again are purged."""
    from lightning.fabric.loggers import TensorBoardLogger

    return TensorBoardLogger("logs/tensorboard", name="", version=training, purge_step=rows[-1][0] + 1 if rows else 1)


def _dvclive(training: str, run: str, rows: list[Row]) -> Logger:
    """A TSV a value, which `dvc plots` and editors show; DVC's experiments are left to `dvc exp`, so none is saved here."""
    from dvclive.fabric import DVCLiveLogger

    logger = DVCLiveLogger(dir=f"logs/dvclive/{training}", save_dvc_exp=False, dvcyaml=None)
    for step, values in rows:  # it can only go on from its own last step, and a killed training goes on from an earlier one
        logger.log_metrics(values, step, sync=False)
    return logger


def _wandb(training: str, run: str, rows: list[Row]) -> Logger:
    """Over `trainer/global_step`, so that the steps that a resumed training does again lie on those before."""
    from lightning.pytorch.loggers import WandbLogger

    Path("logs/wandb").mkdir(parents=True, exist_ok=True)
    logger = WandbLogger(project=PROJECT, name=training, id=run, save_dir="logs/wandb")
    assert logger.experiment  # begins the run
    return logger


class _Trackio:
    """What a training asks of a logger, by a run of trackio, for which Lightning has none."""

    def __init__(self, training: str, run: str, rows: list[Row]):
        os.environ.setdefault("TRACKIO_DIR", "logs/trackio")
        import trackio

        self.run = trackio.init(PROJECT, name=f"{training}-{run}", resume="allow", embed=False)

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.run.log(metrics, step=step)

    def finalize(self, status: str) -> None:
        self.run.finish()


LOGGERS: dict[str, Callable[[str, str, list[Row]], Logger]] = {
    "tensorboard": _tensorboard,
    "dvclive": _dvclive,
    "trackio": _Trackio,
    "wandb": _wandb,
}


def open_loggers(names: Sequence[str], training: str, folder: Path, rows: list[Row]) -> list[Logger]:
    """The loggers of a training.

    Args:
        training: its name.
        folder: what stays of it after an interruption; the run's id lies there, so that the rest is the same run.
        rows: of the steps that are done.

    Raises:
        UserError: a logger's package is not installed, or it can't begin a run.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise UserError(f"runtime.loggers names {name}, which is not installed; run `pip install {name}`, or leave it out.")
    id_file = folder / "run_id"
    if names and not (rows and id_file.is_file()):
        id_file.write_text(uuid.uuid4().hex[:12])
    opened = []
    for name in names:
        try:
            opened.append(LOGGERS[name](training, id_file.read_text(), rows))
        except Exception as error:  # each has errors of its own: no key, no network, another server's answer
            raise UserError(f"the logger {name} can't begin a run ({said(error)}); see its settings, or leave it out.") from None
    return opened
