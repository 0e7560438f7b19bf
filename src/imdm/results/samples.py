"""The samples of a run, to be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imdm.data.blocks import Dataset
from imdm.data.speller import Pieces, Speller
from imdm.errors import UserError

_TOKENS = 60_000  # shown in one report over all models and step counts, so that it stays small


@contextmanager
def open_samples(path: Path, data: Dataset) -> Iterator[tuple[Any, dict[str, Any]]]:
    """An open samples.safetensors and its metadata: model, steps, conditional, ...

    Raises:
        UserError: it was made with another tokenizer than the data's.
    """
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        about = json.loads((file.metadata() or {}).get("imdm", "{}"))
        if about.get("tokenizer_sha256") != data.tokenizer_sha256:
            raise UserError(f"{path} was made with another tokenizer than the data's; run stages/sample.py again or correct --data.")
        yield file, about


def spell(file: Any, steps: int, rows: range, speller: Speller, length: int | None = None) -> list[Pieces]:
    """The pieces of some samples of an open file, of their first `length` tokens."""
    tokens, at = (file.get_slice(f"{steps}.{name}")[rows.start : rows.stop, :length] for name in ("tokens", "unmasked_at"))
    return [speller.pieces(ids, when) for ids, when in zip(tokens.tolist(), at.tolist(), strict=True)]


def first_samples(files: list[Path], data: Dataset, most: int = 8) -> dict[str, dict[str, list[Pieces]]]:
    """The first samples of every file by model and step count; at most `most` of each, fewer where a report would grow too large.

    Raises:
        UserError: a file was made with another tokenizer than the data's.
    """
    speller, samples = Speller.of(data), {}
    for path in files:
        with open_samples(path, data) as (file, about):
            share = _TOKENS // (len(files) * len(about["steps"]) * data.seq_len)
            shown = range(min(most, max(1, share)))
            samples[about["model"]] = {str(n): spell(file, n, shown, speller) for n in about["steps"]}
    return samples
