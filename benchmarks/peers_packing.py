"""Packing as MDLM, Duo and IMDM do it in `datasets.map`: each text by itself, then lists of integers (their `group_texts`)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def blocks(texts: Sequence[str], tokenizer: Tokenizer, seq_len: int, end_id: int, batch: int = 1000) -> list[list[int]]:
    """[BOS], L-2 tokens, [EOS]; what fills no block is dropped after every `batch` texts."""
    inner, packed = seq_len - 2, []
    for start in range(0, len(texts), batch):
        ids = [[*tokenizer.encode(text, add_special_tokens=False).ids, end_id] for text in texts[start : start + batch]]
        stream = list(itertools.chain.from_iterable(ids))
        packed += [[end_id, *stream[i : i + inner], end_id] for i in range(0, len(stream) // inner * inner, inner)]
    return packed
