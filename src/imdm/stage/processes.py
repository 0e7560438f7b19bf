"""Worker processes that end with the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any


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
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
    if prepare is not None:
        prepare(*arguments)
