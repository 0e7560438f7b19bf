"""The file of samples that the stages sample, complete and match_entropy write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from imdm.data.blocks import Dataset
from imdm.errors import UserError
from imdm.files import require_array
from imdm.stage.artifact import Positive, Prompts
from imdm.stage.shards import About, load_rows, save_rows

_NAMES = ("tokens", "unmasked_at", "calls")


@dataclass
class SampleFile:
    """Samples of one model, by number of steps.

    Attributes:
        tokens, unmasked_at: int32 [n, L].
        calls: int32 [n].
        about: task (unconditional, conditional or matched), model, steps, temperature by step count (a string, as in
            JSON), precision, draws, tokenizer_sha256, seed; conditional: settings of the prompts, and
            matching: how the temperatures were found, each None where it does not apply.
    """

    tokens: dict[int, np.ndarray]
    unmasked_at: dict[int, np.ndarray]
    calls: dict[int, np.ndarray]
    about: dict


class AboutSamples(About):
    """What a file of samples says of them."""

    task: str
    model: str
    tokenizer_sha256: str
    steps: Annotated[list[Positive], Field(min_length=1)]
    temperature: dict[str, float]
    precision: str
    conditional: Prompts | None
    matching: dict[str, Any] | None


def save_samples(path: str | Path, samples: SampleFile) -> None:
    """Write samples; equal samples give equal bytes."""
    tensors = {f"{steps}.{name}": getattr(samples, name)[steps] for steps in samples.about["steps"] for name in _NAMES}
    save_rows(path, tensors, samples.about)


def load_samples(path: str | Path, data: Dataset) -> SampleFile:
    """Read samples. Raises UserError: truncated, foreign, a shard, or made for another vocabulary or length than `data`'s."""
    tensors, about = load_rows(path, "samples", AboutSamples)
    if about["tokenizer_sha256"] != data.tokenizer_sha256:
        raise UserError(f"{path} was made with another vocabulary than {data.path}; sample a model of this corpus.")
    first = require_array(path, tensors, f"{about['steps'][0]}.tokens", "int32", (None, None))
    rows, length = first.shape
    if length != data.seq_len:
        raise UserError(
            f"{path} holds samples of {length} tokens, {data.path} has blocks of {data.seq_len}; sample a model of this corpus."
        )
    for steps in about["steps"]:
        require_array(path, tensors, f"{steps}.tokens", "int32", (rows, length), 0, data.vocab_size - 1)
        require_array(path, tensors, f"{steps}.unmasked_at", "int32", (rows, length), -1, steps)
        require_array(path, tensors, f"{steps}.calls", "int32", (rows,), 0, steps)
    if rows % (about["conditional"] or {}).get("completions", 1):
        raise UserError(f"{path} has {rows} rows, not as many completions of each prompt; make it again.")
    parts = {name: {steps: tensors[f"{steps}.{name}"] for steps in about["steps"]} for name in _NAMES}
    return SampleFile(**parts, about=about)
