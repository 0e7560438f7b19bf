"""Documents to blocks of equal length, no token lost but one reported tail.

A split's stream is the tokens of its documents, each followed by EOS. A block is [BOS], the next L-2 tokens
of the stream, [EOS], as in the packed corpora of MDLM. What doesn't fill a block is carried to the next call,
so the result depends on the order of the documents alone, not on how they were batched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_BATCH_DOCUMENTS = 2048
_BATCH_CHARACTERS = 4_000_000


class Packer:
    """Appends blocks to a file of little-endian uint16, L tokens each.

    Args:
        path: file to write, empty until the first block is full.
        seq_len: L, BOS and EOS included.
        end_id: id of BOS and EOS.
    """

    def __init__(self, path: Path, seq_len: int, end_id: int):
        self.path, self.seq_len, self.end_id = path, seq_len, end_id
        self._carry = np.empty(0, np.uint16)
        self._digest = hashlib.sha256()
        self._blocks = self._documents = 0
        path.write_bytes(b"")

    def add(self, documents: Iterable[list[int]]) -> None:
        """Pack tokenized documents after those of the calls before."""
        parts = [self._carry]
        for ids in documents:
            self._documents += 1
            parts += [np.asarray(ids, np.uint16), np.full(1, self.end_id, np.uint16)]
        stream = np.concatenate(parts)
        inner = self.seq_len - 2
        count = len(stream) // inner
        self._carry = stream[count * inner :].copy()
        if count:
            blocks = np.full((count, self.seq_len), self.end_id, "<u2")
            blocks[:, 1:-1] = stream[: count * inner].reshape(count, inner)
            self._digest.update(blocks.data)
            with self.path.open("ab") as file:
                file.write(blocks.data)
            self._blocks += count

    @property
    def tail(self) -> np.ndarray:
        """The tokens that don't fill a block, uint16 [< L-2]."""
        return self._carry

    def summary(self) -> dict[str, Any]:
        """Blocks, kept stream tokens, tokens of the tail, documents, sha256 of the file."""
        return {
            "blocks": self._blocks,
            "tokens": self._blocks * (self.seq_len - 2),
            "tail": len(self._carry),
            "documents": self._documents,
            "sha256": self._digest.hexdigest(),
        }


def pack(
    documents: Iterable[str],
    tokenizer: Tokenizer,
    split_of: Callable[[str], str],
    packers: dict[str, Packer],
    batch: int = _BATCH_DOCUMENTS,
) -> Iterator[int]:
    """Tokenize documents and add each to the packer of its split; holds one batch in memory.

    Args:
        batch: documents encoded at once, by the tokenizer's threads; the result depends on neither.

    Yields:
        the number of documents of each batch, when it is packed.
    """
    for group in _groups(documents, batch):
        encodings = tokenizer.encode_batch_fast(group, add_special_tokens=False)
        parts: dict[str, list[list[int]]] = {name: [] for name in packers}
        for document, encoding in zip(group, encodings, strict=True):
            parts[split_of(document)].append(encoding.ids)
        for name, part in parts.items():
            packers[name].add(part)
        yield len(group)


def _groups(documents: Iterable[str], batch: int) -> Iterator[list[str]]:
    """Batches of documents, smaller where the documents are long."""
    group: list[str] = []
    characters = 0
    for document in documents:
        group.append(document)
        characters += len(document)
        if len(group) == batch or characters >= _BATCH_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group
