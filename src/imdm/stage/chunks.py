"""Long generation in chunks that survive an interruption."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from imdm.stage.progress import Progress, no_progress

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
            if not path.exists():
                start = time.perf_counter()
                made = make(first, count)
                save_file(made | {_SECONDS: torch.tensor([time.perf_counter() - start])}, path.with_suffix(".tmp"))
                os.replace(path.with_suffix(".tmp"), path)
            parts.append(load_file(path))
            bar.update(count)
    seconds = sum(part.pop(_SECONDS).item() for part in parts)
    return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}, seconds
