"""Worker processes that end with the one that started them, and work that they share."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imdm.stage.artifact import write_json
from imdm.stage.progress import Progress, no_progress


@contextmanager
def worker_processes(count: int, prepare: Callable[..., None] | None = None, *arguments: Any) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes, each of which calls `prepare(*arguments)` first; none outlives the caller."""
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _start, (prepare, *arguments)) as executor:
        try:
            yield executor
        except BaseException:  # SIGTERM too: the executor would first finish what was submitted
            for worker in multiprocessing.active_children():
                worker.kill()
            raise


def _start(prepare: Callable[..., None] | None, *arguments: Any) -> None:
    """Make a worker end with its parent; after a SIGKILL of that one it would wait for more work for ever."""

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
    if prepare is not None:
        prepare(*arguments)


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
    missing = [name for name, file in files.items() if not file.exists()]
    with worker_processes(workers) as executor, progress(len(missing), unit) as bar:
        running = {executor.submit(compute, *parts[name]): files[name] for name in missing}
        for future in as_completed(running):
            unfinished = running[future].with_suffix(".tmp")
            write_json(unfinished, future.result())
            os.replace(unfinished, running[future])
            bar.update()
    return [record for file in files.values() for record in json.loads(file.read_text(encoding="utf-8"))]
