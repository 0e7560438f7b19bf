"""Shards: a generation made by several jobs, each a range of its rows.

Every row is a function of (seed, index), so the merged file has the bytes of one that was made at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from imdm.errors import UserError

_KEY = "imdm"  # of the metadata in sample and coupling files


def shard_rows(total: int, shard: str | None) -> range:
    """Rows of shard `i/n`, i from 1: equal parts, but for one row; all rows without a shard.

    Raises:
        UserError: it is not written so, or there are more shards than rows.
    """
    if shard is None:
        return range(total)
    match = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", shard)
    number, count = (int(part) for part in match.groups()) if match else (1, 0)
    if not 1 <= number <= count <= total:
        raise UserError(f"--shard {shard} must be i/n with i from 1 to n, and n at most the {total} rows.")
    return range(total * (number - 1) // count, total * number // count)


def about_rows(rows: range, total: int) -> dict[str, Any]:
    """What a shard's file says of itself; nothing where it holds all rows."""
    return {} if len(rows) == total else {"rows": [rows.start, rows.stop, total]}


def refuse_shard(about: dict[str, Any], path: str | Path) -> None:
    """Refuse a shard where the whole is wanted.

    Raises:
        UserError: the file is a shard.
    """
    if "rows" in about:
        first, last, total = about["rows"]
        raise UserError(f"{path} is a shard (rows {first} to {last - 1} of {total}); merge the shards and give the merged file.")


def merge_shards(paths: Sequence[str | Path], out: str | Path) -> int:
    """Join the files of shards, in the order of their rows.

    Returns:
        number of rows.

    Raises:
        UserError: a file is damaged or no shard, was made with other settings than the first, or rows are missing or double.
    """
    parts = []
    for path in map(Path, paths):
        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads((file.metadata() or {}).get(_KEY, "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path} is truncated or no shard ({error}); make it again.") from None
        if "rows" not in about:
            raise UserError(f"{path} is no shard; give files that were made with --shard.")
        parts.append((about.pop("rows"), about, tensors, path))
    parts.sort(key=lambda part: part[0][0])
    about, expected, total = parts[0][1], 0, parts[0][0][2]
    for (first, last, whole), other, _, path in parts:
        if other != about or whole != total:
            differ = next((key for key in sorted(about.keys() | other.keys()) if about.get(key) != other.get(key)), "number of rows")
            raise UserError(f"{path} differs from {parts[0][3]} in {differ}; make all shards with the same settings.")
        if first != expected:
            raise UserError(f"{path} begins with row {first}, but row {expected} is due; give each shard once.")
        expected = last
    if expected != total:
        raise UserError(f"rows {expected} to {total - 1} are missing; give the last shard too.")
    joined = {name: torch.cat([tensors[name] for _, _, tensors, _ in parts]) for name in parts[0][2]}
    save_file(joined, out, metadata={_KEY: json.dumps(about, sort_keys=True)})
    return total
