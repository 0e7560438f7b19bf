"""Samples as the judge reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from imdm.scoring.judge import Judge
    from imdm.scoring.window import Window


@dataclass
class Texts:
    """Texts of the judge's tokens.

    Attributes:
        ids: token ids of each text.
        context: how many leading ids of each text are only read, int64 [n].
    """

    ids: list[list[int]]
    context: np.ndarray


def as_texts(samples: np.ndarray, window: Window, tokenizer: Tokenizer, judge: Judge, retokenize: bool, most: int | None = None) -> Texts:
    """The window of each sample in the judge's tokens, cut to the judge's longest input.

    Args:
        samples: token ids [n, L] of `tokenizer`.
        retokenize: decode and encode with the judge's tokenizer, as MDLM, Duo and IMDM do (special tokens stay as
            strings); otherwise the ids are the judge's own, which `Judge.check_vocabulary` makes sure of.
        most: longest text in judge tokens, where shorter than what the judge reads.
    """
    ids = window.read(samples).tolist()
    context = np.full(len(ids), window.context, dtype=np.int64)
    if retokenize:
        encoded = judge.tokenizer.encode_batch(_decode(tokenizer, ids), add_special_tokens=False)
        ids = [text.ids for text in encoded]
        if window.context:
            prompts = _decode(tokenizer, samples[:, : window.context].tolist())
            # a token that begins in the prompt and ends behind it holds generated text, and counts
            ends = zip(encoded, prompts, strict=True)
            context = np.array([sum(end <= len(prompt) for _, end in text.offsets) for text, prompt in ends], dtype=np.int64)
    most = min(judge.max_length, most or judge.max_length)
    return Texts([row[:most] for row in ids], context)


def _decode(tokenizer: Tokenizer, ids: list[list[int]]) -> list[str]:
    return tokenizer.decode_batch(ids, skip_special_tokens=False)
