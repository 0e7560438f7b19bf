"""Samples as the judge reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from tokenizers import Tokenizer

    from imdm.scoring.judge import Judge


def scored(samples: np.ndarray, conditional: dict[str, Any] | None) -> np.ndarray:
    """The tokens of samples [n, L] that are scored: all; of completions the first `scored_tokens`, the prompt among them.

    The authors' code scores the first 100 tokens with the prompt of 50; the paper's words are 100 generated tokens.

    Args:
        conditional: the samples' settings of params.Conditional; None for unconditional ones.
    """
    return samples if conditional is None else samples[:, : conditional["scored_tokens"]]


def judge_ids(samples: np.ndarray, tokenizer: Tokenizer, judge: Judge, retokenize: bool, most: int | None = None) -> list[list[int]]:
    """Samples in the judge's tokens, cut to the judge's longest input.

    Args:
        samples: token ids [n, L] of `tokenizer`.
        retokenize: decode and encode with the judge's tokenizer, as MDLM, Duo and IMDM do (special tokens stay as
            strings); otherwise the ids are the judge's own, which `Judge.check_vocabulary` makes sure of.
        most: longest text in judge tokens, where shorter than what the judge reads.
    """
    ids = samples.tolist()
    if retokenize:
        texts = tokenizer.decode_batch(ids, skip_special_tokens=False)
        ids = [text.ids for text in judge.tokenizer.encode_batch(texts, add_special_tokens=False)]
    most = min(judge.max_length, most or judge.max_length)
    return [text[:most] for text in ids]
