"""trackio as a logger of Lightning."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from lightning.fabric.loggers.logger import Logger


class TrackioLogger(Logger):
    """Hands metrics to a run that has begun, a `trackio.Run`."""

    def __init__(self, run: Any):
        super().__init__()
        self.run = run

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Adds to the run's config."""
        self.run.config.update(vars(params) if isinstance(params, Namespace) else params)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.run.log(metrics, step=step)

    def finalize(self, status: str) -> None:
        self.run.finish()
