"""Files of a generation: its tensors by row and what they are, made at once or as shards by several jobs.

Every row is a function of (seed, index), so a file that was merged of shards has the bytes of one that was made at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NotRequired

import numpy as np
from pydantic import Field, with_config
from safetensors.numpy import save_file
from typing_extensions import TypedDict

from imdm.errors import UserError
from imdm.files import OPEN, fitting, read_tensors
from imdm.writing import whole

_KEY = "imdm"  # of the metadata


def save_rows(path: str | Path, tensors: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """Write tensors, whose first dimension is the rows, and what they are; equal ones give equal bytes."""
    with whole(path) as beside:
        save_file(tensors, beside, metadata={_KEY: json.dumps(about, sort_keys=True)})


@with_config(OPEN)
class About(TypedDict):
    """What such a file says of itself; `rows` of a shard alone: first, behind the last, and how many there are in all."""

    rows: NotRequired[Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=3, max_length=3)]]


def load_rows(path: str | Path, content: str, about: type[About]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What `save_rows` wrote.

    Args:
        content: what the file should hold, for messages.
        about: what it must say of itself.

    Raises:
        UserError: the file is truncated, foreign or a shard.
    """
    tensors, said = _read(path, f"a file of {content}", about)
    if "rows" in said:
        first, last, total = said["rows"]
        raise UserError(f"{path} is a shard (rows {first} to {last - 1} of {total}); merge the shards and give the merged file.")
    return tensors, said


def _read(path: str | Path, what: str, about: type[About] = About) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    tensors, metadata = read_tensors(path, "make it again")
    said = fitting(path, metadata.get(_KEY, "{}"), about, what, "give the file of the stage that makes them, or make it again")
    if len({len(tensor) if tensor.ndim else 0 for tensor in tensors.values()}) != 1:
        raise UserError(f"{path} has no rows, or not as many in each tensor; make it again.")
    return tensors, said


def shard_rows(total: int, shard: str | None) -> range:
    """Rows of shard `i/n`, i from 1: equal parts, but for one row; all rows without a shard.

    Raises:
        UserError: it is not written so, or there are more shards than rows.
    """
    if shard is None:
        return range(total)
    numbers = re.fullmatch(r"([1-9][0-9]{0,9})/([1-9][0-9]{0,9})", shard)
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
        tensors, about = _read(path, "a shard")
        if "rows" not in about:
            raise UserError(f"{path} is no shard; give files that were made with --shard.")
        if {len(tensor) for tensor in tensors.values()} != {about["rows"][1] - about["rows"][0]}:
            raise UserError(f"{path} has not the rows {about['rows'][0]} to {about['rows'][1] - 1} that it says; make it again.")
        parts.append((about.pop("rows"), about, tensors, path))
    parts.sort(key=lambda part: part[0][0])
    about, expected, total, kinds = parts[0][1], 0, parts[0][0][2], _kinds(parts[0][2])
    for (first, last, number), other, tensors, path in parts:
        if _kinds(tensors) != kinds:
            raise UserError(f"{path} differs from {parts[0][3]} in the names or kinds of its tensors; make it again.")
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


def _kinds(tensors: dict[str, np.ndarray]) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (array.dtype.str, array.shape[1:]) for name, array in tensors.items()}
