"""The file of samples that the stages sample, complete and match_entropy write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imdm.data.blocks import Dataset
from imdm.errors import UserError
from imdm.stage.shards import load_rows, save_rows

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


def save_samples(path: str | Path, samples: SampleFile) -> None:
    """Write samples; equal samples give equal bytes."""
    tensors = {f"{steps}.{name}": getattr(samples, name)[steps] for steps in samples.about["steps"] for name in _NAMES}
    save_rows(path, tensors, samples.about)


def load_samples(path: str | Path, data: Dataset) -> SampleFile:
    """Read samples. Raises UserError: truncated, foreign, a shard, or made for another vocabulary or length than `data`'s."""
    tensors, about = load_rows(path, "samples", "steps")
    if about["tokenizer_sha256"] != data.tokenizer_sha256:
        raise UserError(f"{path} was made with another vocabulary than {data.path}; sample a model of this corpus.")
    length = tensors[f"{about['steps'][0]}.tokens"].shape[1]
    if length != data.seq_len:
        raise UserError(
            f"{path} holds samples of {length} tokens, {data.path} has blocks of {data.seq_len}; sample a model of this corpus."
        )
    return SampleFile(*({steps: tensors[f"{steps}.{name}"] for steps in about["steps"]} for name in _NAMES), about)
