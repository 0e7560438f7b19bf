"""The results of stages as they are read: checked, and refused where models of one table were made differently."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field, with_config
from typing_extensions import TypedDict

from imdm.errors import UserError
from imdm.files import OPEN, read_json, said
from imdm.stage.artifact import ByStep, JudgeNamed, Positive, Prompts, RealText, Row, verify


@with_config(OPEN)
class Result(TypedDict, total=False):
    """What tables are made of, of all the stages' JSON results."""

    name: str
    judge: JudgeNamed | dict[str, str]  # of reference.json its name, precision and digest
    precision: str
    temperature: ByStep
    conditional: Prompts | RealText | None  # of scores.json and of reference.json
    matching: dict[str, Any] | None
    sampled_at: float
    rows: list[Row]
    unconditional: RealText
    valid_perplexity: float
    held_out_perplexity: float
    unigram_perplexity: float
    parameters: int
    low: float
    high: float
    teacher: str
    split: str
    seq_len: Positive
    noise_draws: Annotated[list[Positive], Field(min_length=1)]


def read_result(path: Path, *keys: str) -> dict[str, Any]:
    """A stage's JSON result.

    Raises:
        UserError: it is missing, edited, damaged, or lacks one of `keys`, of which rows.NAME are of each row.
    """
    verify(path)
    what, again = "what its stage writes", f"run `snakemake --force {path}`"
    tree = read_json(path, Result, what, again)
    for key in keys:
        name, _, part = key.partition(".")
        if name not in tree or part and any(part not in row for row in tree[name]):
            raise UserError(f"{path} is not {what} (it lacks {key}); {again}.")
    return tree


def read_parquet(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """A table of single samples or sequences, checked as `read_result` does."""
    verify(path)
    try:
        table = pd.read_parquet(path, columns=columns)
        numbers = table[columns].to_numpy(float) if columns else table.select_dtypes("number").to_numpy(float)
    except Exception as error:  # pyarrow raises all kinds for what it can't read
        raise UserError(f"{path} is not what its stage writes ({said(error)}); run its stage again.") from None
    if not len(table) or not np.isfinite(numbers).all():
        raise UserError(f"{path} has no lines, or numbers in it that aren't finite; run its stage again.")
    return table


def require_same(folder: Path, values: Mapping[str, Any], what: str, first: Any = None) -> None:
    """Refuse results of one table that were made differently.

    Raises:
        UserError: a model's value is another than `first`, or than the first model's.
    """
    first = next(iter(values.values())) if first is None else first
    for model, value in values.items():
        if value != first:
            raise UserError(f"{folder / model} has another {what} than the other models of this table; run its stage again.")
