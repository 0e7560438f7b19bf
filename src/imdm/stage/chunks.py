"""Long work: its progress as the caller wants to see it, and chunks and parts that survive an interruption."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from imdm.stage.artifact import write_json
from imdm.stage.processes import worker_processes
from imdm.writing import whole


class Progress(Protocol):
    """Opens a progress bar: a context manager with `update(n)`, `set_postfix(...)` and `close()`, as tqdm's."""

    def __call__(self, total: int | None, unit: str, initial: int = 0) -> Any: ...


def no_progress(total: int | None, unit: str, initial: int = 0) -> Any:
    """A bar that shows nothing."""
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, initial=initial, disable=True)


_SECONDS = "seconds"  # of making a chunk, in its file


def in_chunks(
    folder: Path,
    rows: range,
    size: int,
    make: Callable[[int, int], dict[str, Tensor]],
    name: str = "chunk",
    progress: Progress = no_progress,
) -> tuple[dict[str, Tensor], float]:
    """Call `make(first, count)` over `rows` and join the results along the first axis.

    Finished chunks are kept below `folder/.chunks`, so that who was interrupted goes on with the next one.

    Args:
        size: rows of a chunk; the result does not depend on it as long as each row depends on its index alone.
        name: of the chunks' files; other rows or another `make` in the same folder need another one.

    Returns:
        the results, and the seconds that making them took, in whatever process.
    """
    place = folder / ".chunks"
    place.mkdir(exist_ok=True, parents=True)
    parts = []
    with progress(len(rows), "row") as bar:
        for first in rows[::size]:
            count = min(size, rows.stop - first)
            path = place / f"{name}-{first:09d}.safetensors"
            try:
                parts.append(load_file(path))
            except (FileNotFoundError, SafetensorError):  # not made yet, or lost with the machine that made it
                start = time.perf_counter()
                made = make(first, count)
                with whole(path) as beside:
                    save_file(made | {_SECONDS: torch.tensor([time.perf_counter() - start])}, beside)
                parts.append(load_file(path))
            bar.update(count)
    seconds = sum(part.pop(_SECONDS).item() for part in parts)
    return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}, seconds


def side_by_side(
    folder: Path,
    parts: dict[str, tuple[Any, ...]],
    compute: Callable[..., list[dict]],
    workers: int,
    unit: str,
    progress: Progress = no_progress,
) -> list[dict]:
    """The records compute(*arguments) of all parts, in their order, each part computed by one of `workers` processes.

    Args:
        parts: arguments by name, the stem of the file below `folder/.UNITs` that keeps a finished part over an interruption.
        compute: a function of a module, so that another process can import it.
    """
    place = folder / f".{unit}s"
    place.mkdir(exist_ok=True, parents=True)
    files = {name: place / f"{name}.json" for name in parts}
    missing = [name for name, file in files.items() if _records(file) is None]
    with worker_processes(workers) as executor, progress(len(missing), unit) as bar:
        running = {executor.submit(compute, *parts[name]): files[name] for name in missing}
        for future in as_completed(running):
            write_json(running[future], future.result())
            bar.update()
    return [record for file in files.values() for record in _records(file) or ()]


def _records(file: Path) -> list[dict] | None:
    """What a finished part holds; None where it is not made yet, or was lost with the machine that made it."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
