"""The parts of a synthetic task (seeds, cells), side by side; an interrupted stage keeps the parts that are done."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

from imdm.stage.artifact import write_json
from imdm.stage.processes import worker_processes
from imdm.stage.progress import Progress, no_progress


def side_by_side(
    folder: Path,
    parts: dict[str, tuple[Any, ...]],
    compute: Callable[..., list[dict]],
    workers: int,
    unit: str,
    progress: Progress = no_progress,
) -> list[dict]:
    """The rows compute(*arguments) of all parts, in their order, each computed by one of `workers` processes.

    Args:
        parts: arguments by name, the stem of the file below `folder/.UNITs` that keeps a finished part.
        compute: a function of a module, so that another process can import it.
    """
    place = folder / f".{unit}s"
    place.mkdir(exist_ok=True, parents=True)
    files = {name: place / f"{name}.json" for name in parts}
    missing = [name for name, file in files.items() if not file.exists()]
    with worker_processes(workers) as pool, progress(len(missing), unit) as bar:
        running = {pool.submit(compute, *parts[name]): files[name] for name in missing}
        for future in as_completed(running):
            unfinished = running[future].with_suffix(".tmp")
            write_json(unfinished, future.result())
            os.replace(unfinished, running[future])
            bar.update()
    return [row for file in files.values() for row in json.loads(file.read_text(encoding="utf-8"))]
