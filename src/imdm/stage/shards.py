"""Files of a generation: its tensors by row and what they are, made at once or as shards by several jobs.

Every row is a function of (seed, index), so a file that was merged of shards has the bytes of one that was made at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from imdm.errors import UserError
from imdm.writing import whole

_KEY = "imdm"  # of the metadata


def save_rows(path: str | Path, tensors: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """Write tensors, whose first dimension is the rows, and what they are; equal ones give equal bytes."""
    with whole(path) as beside:
        save_file(tensors, beside, metadata={_KEY: json.dumps(about, sort_keys=True)})


def load_rows(path: str | Path, content: str, key: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What `save_rows` wrote.

    Args:
        content: what the file should hold, for messages.
        key: of `about`, which other files lack.

    Raises:
        UserError: the file is truncated, foreign or a shard.
    """
    tensors, about = _read(path)
    if key not in about:
        raise UserError(f"{path} holds no {content}; give the file of the stage that makes them.")
    if "rows" in about:
        first, last, total = about["rows"]
        raise UserError(f"{path} is a shard (rows {first} to {last - 1} of {total}); merge the shards and give the merged file.")
    return tensors, about


def _read(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    try:
        with safe_open(path, framework="np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            return tensors, json.loads((file.metadata() or {}).get(_KEY, "{}"))
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is truncated or no file of tensors ({error}); make it again.") from None


def shard_rows(total: int, shard: str | None) -> range:
    """Rows of shard `i/n`, i from 1: equal parts, but for one row; all rows without a shard.

    Raises:
        UserError: it is not written so, or there are more shards than rows.
    """
    if shard is None:
        return range(total)
    numbers = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", shard)
    number, count = map(int, numbers.groups()) if numbers else (1, 0)
    if not 1 <= number <= count <= total:
        raise UserError(f"--shard {shard} must be i/n with i from 1 to n, and n at most the {total} rows.")
    return range(total * (number - 1) // count, total * number // count)


def about_rows(rows: range, total: int) -> dict[str, Any]:
    """What a shard's file says of itself; nothing where it holds all rows."""
    return {} if len(rows) == total else {"rows": [rows.start, rows.stop, total]}


def merge_shards(paths: Sequence[str | Path], out: str | Path) -> int:
    """Join the files of shards, in the order of their rows.

    Returns:
        number of rows.

    Raises:
        UserError: a file is damaged or no shard, was made with other settings than the first, or rows are missing or double.
    """
    parts = []
    for path in map(Path, paths):
        tensors, about = _read(path)
        if "rows" not in about:
            raise UserError(f"{path} is no shard; give files that were made with --shard.")
        parts.append((about.pop("rows"), about, tensors, path))
    parts.sort(key=lambda part: part[0][0])
    about, expected, total = parts[0][1], 0, parts[0][0][2]
    for (first, last, number), other, _, path in parts:
        if other != about or number != total:
            differ = next((key for key in sorted(about.keys() | other.keys()) if about.get(key) != other.get(key)), "number of rows")
            raise UserError(f"{path} differs from {parts[0][3]} in {differ}; make all shards with the same settings.")
        if first != expected:
            raise UserError(f"{path} begins with row {first}, but row {expected} is due; give each shard once.")
        expected = last
    if expected != total:
        raise UserError(f"rows {expected} to {total - 1} are missing; give the last shard too.")
    save_rows(out, {name: np.concatenate([tensors[name] for _, _, tensors, _ in parts]) for name in parts[0][2]}, about)
    return total
