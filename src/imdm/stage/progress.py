"""Progress of long work, as whoever calls it wants to see it: a stage's bar with ETA, or nothing."""

from __future__ import annotations

from typing import Any, Protocol


class Progress(Protocol):
    """Opens a progress bar: a context manager with `update(n)`, `set_postfix(...)` and `close()`, as tqdm's."""

    def __call__(self, total: int | None, unit: str, initial: int = 0) -> Any: ...


def no_progress(total: int | None, unit: str, initial: int = 0) -> Any:
    """A bar that shows nothing."""
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, initial=initial, disable=True)
