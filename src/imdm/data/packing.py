"""Documents to blocks of equal length.

A split's stream is the tokens of its documents, each followed by EOS. A block is [BOS], the next L-2 tokens
of the stream, [EOS], as in the packed corpora of MDLM. Either what doesn't fill a block is carried on, so that
no token is lost but at the end, or it is dropped after every 1,000 documents of the split, as MDLM, Duo, ReDi and
IMDM do by packing each batch of `datasets.map` on its own. The result depends on the order of the documents alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DROP_EVERY: dict[str, int | None] = {"carry": None, "per_batch": 1000}  # documents, by corpus.packing
_BATCH_DOCUMENTS = 2048
_BATCH_CHARACTERS = 4_000_000


class Packer:
    """Appends blocks to a file of little-endian uint16, L tokens each.

    Args:
        path: file to write, empty until the first block is full.
        seq_len: L, BOS and EOS included.
        end_id: id of BOS and EOS.
        drop_every: after so many documents, what fills no block is dropped; None: never.
    """

    def __init__(self, path: Path, seq_len: int, end_id: int, drop_every: int | None = None):
        self.path, self.seq_len, self.end_id, self.drop_every = path, seq_len, end_id, drop_every
        self._rest = np.empty(0, np.uint16)
        self._digest = hashlib.sha256()
        self._blocks = self._documents = self._dropped = 0
        path.write_bytes(b"")

    def add(self, documents: Iterable[list[int]]) -> None:
        """Pack tokenized documents after those of the calls before."""
        parts = [self._rest]
        for ids in documents:
            parts += [np.asarray(ids, np.uint16), np.full(1, self.end_id, np.uint16)]
            self._documents += 1
            if self.drop_every and self._documents % self.drop_every == 0:
                self._dropped += len(self._write(np.concatenate(parts)))
                parts = []
        self._rest = self._write(np.concatenate([*parts, np.empty(0, np.uint16)]))

    def _write(self, stream: np.ndarray) -> np.ndarray:
        """Append the full blocks of a stream uint16 [n]; the rest, uint16 [< L-2]."""
        inner = self.seq_len - 2
        count = len(stream) // inner
        blocks = np.full((count, self.seq_len), self.end_id, "<u2")
        blocks[:, 1:-1] = stream[: count * inner].reshape(count, inner)
        self._digest.update(blocks.data)
        with self.path.open("ab") as file:
            file.write(blocks.data)
        self._blocks += count
        return stream[count * inner :].copy()

    @property
    def rest(self) -> np.ndarray:
        """The last tokens of the stream, which fill no block, uint16 [< L-2]."""
        return self._rest

    def summary(self) -> dict[str, Any]:
        """Blocks, stream tokens in them, stream tokens in no block, documents, sha256 of the file."""
        return {
            "blocks": self._blocks,
            "tokens": self._blocks * (self.seq_len - 2),
            "dropped": self._dropped + len(self._rest),
            "documents": self._documents,
            "sha256": self._digest.hexdigest(),
        }


def pack(
    documents: Iterable[tuple[str, str]], tokenizer: Tokenizer, packers: dict[str, Packer], batch: int = _BATCH_DOCUMENTS
) -> Iterator[int]:
    """Tokenize documents and add each to the packer of its split; holds one batch in memory.

    Args:
        documents: (text, split).
        batch: documents encoded at once, by the tokenizer's threads; the result depends on neither.

    Yields:
        the number of documents of each batch, when it is packed.
    """
    for group in _groups(documents, batch):
        encodings = tokenizer.encode_batch_fast([text for text, _ in group], add_special_tokens=False)
        parts: dict[str, list[list[int]]] = {name: [] for name in packers}
        for (_, split), encoding in zip(group, encodings, strict=True):
            parts[split].append(encoding.ids)
        for name, part in parts.items():
            packers[name].add(part)
        yield len(group)


def _groups(documents: Iterable[tuple[str, str]], batch: int) -> Iterator[list[tuple[str, str]]]:
    """Batches of documents, smaller where the documents are long."""
    group: list[tuple[str, str]] = []
    characters = 0
    for document in documents:
        group.append(document)
        characters += len(document[0])
        if len(group) == batch or characters >= _BATCH_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group
