"""Documents to blocks of equal length.

A split's stream is the tokens of its documents, each followed by EOS. A block is [BOS], the next L-2 tokens
of the stream, [EOS], as in the packed corpora of MDLM. Either what doesn't fill a block is carried on, so that
no token is lost but at the end (carry), or it is dropped after every 1,000 documents of the split, as MDLM, Duo, ReDi and
IMDM do by packing each batch of `datasets.map` on its own (per_batch). Or a block is a document, cut or filled up with EOS (document).
The result depends on the order of the documents alone.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from imdm.data.memo import Memo
from imdm.data.tokenizer import as_text, limit_threads
from imdm.stage.processes import worker_processes

_DROP_EVERY = 1000  # documents, where each batch of them is packed on its own
_BATCH_DOCUMENTS = 2048
_BATCH_CHARACTERS = 1_000_000
Group = list[tuple[str, str]]  # documents as (text, split)


class Packer:
    """Appends blocks to a file of little-endian uint16, L tokens each.

    Args:
        path: file to write, empty until the first block is full.
        seq_len: L, BOS and EOS included.
        end_id: id of BOS and EOS.
        packing: `corpus.packing`: carry, per_batch or document, as above.

    Attributes:
        text_tokens: of all documents so far, without BOS, EOS and filling.
    """

    def __init__(self, path: Path, seq_len: int, end_id: int, packing: str = "carry"):
        self.path, self.seq_len, self.end_id = path, seq_len, end_id
        self.alone, self.drop_every = packing == "document", _DROP_EVERY if packing == "per_batch" else None
        self._end, self._rest = np.uint16(end_id).tobytes(), b""
        self._digest = hashlib.sha256()
        self._blocks = self._documents = self._dropped = self.text_tokens = 0
        path.write_bytes(b"")

    def add(self, documents: Iterable[bytes]) -> None:
        """Pack tokenized documents, each the bytes of uint16 ids, after those of the calls before."""
        parts = [self._rest]
        for ids in documents:
            parts += [(ids + self._end * self.seq_len)[: 2 * (self.seq_len - 2)]] if self.alone else [ids, self._end]
            self._documents += 1
            self.text_tokens += len(ids) // 2
            self._dropped += max(0, len(ids) // 2 - (self.seq_len - 2)) if self.alone else 0
            if self.drop_every and self._documents % self.drop_every == 0:
                self._dropped += len(self._write(b"".join(parts))) // 2
                parts = []
        self._rest = self._write(b"".join(parts))

    def _write(self, joined: bytes) -> bytes:
        """Append the full blocks of a stream of uint16 [n]; the rest, of uint16 [< L-2]."""
        stream, inner = np.frombuffer(joined, np.uint16), self.seq_len - 2
        count = len(stream) // inner
        blocks = np.full((count, self.seq_len), self.end_id, "<u2")
        blocks[:, 1:-1] = stream[: count * inner].reshape(count, inner)
        self._digest.update(blocks.data)
        with self.path.open("ab") as file:
            file.write(blocks.data)
        self._blocks += count
        return stream[count * inner :].tobytes()

    @property
    def rest(self) -> np.ndarray:
        """The last tokens of the stream, which fill no block, uint16 [< L-2]."""
        return np.frombuffer(self._rest, np.uint16)

    def summary(self) -> dict[str, Any]:
        """Blocks, stream tokens in them, stream tokens in no block, documents, sha256 of the file."""
        return {
            "blocks": self._blocks,
            "tokens": self._blocks * (self.seq_len - 2),
            "dropped": self._dropped + len(self.rest),
            "documents": self._documents,
            "sha256": self._digest.hexdigest(),
        }


def pack(
    documents: Iterable[tuple[str, str]],
    tokenizer: Tokenizer,
    packers: dict[str, Packer],
    batch: int = _BATCH_DOCUMENTS,
    workers: int = 1,
) -> Iterator[int]:
    """Tokenize documents and add each to the packer of its split; holds two batches a worker in memory.

    Args:
        documents: (text, split).
        batch: documents encoded at once; the result depends neither on it nor on `workers`.
        workers: processes that encode, each with a memo of its own; 1 encodes in this one.

    Yields:
        the number of documents of each batch, when it is packed.
    """
    for splits, encoded in _encoded(_groups(documents, batch), tokenizer, workers):
        parts: dict[str, list[bytes]] = {name: [] for name in packers}
        for split, ids in zip(splits, encoded, strict=True):
            parts[split].append(ids)
        for name, part in parts.items():
            packers[name].add(part)
        yield len(splits)


def _encoded(groups: Iterable[Group], tokenizer: Tokenizer, workers: int) -> Iterator[tuple[tuple[str, ...], list[bytes]]]:
    """The splits and the ids of each group's documents, group after group."""
    pairs = (tuple(zip(*group, strict=True)) for group in groups)
    if workers == 1:
        memo = Memo(tokenizer)
        yield from ((splits, memo.encode(texts)) for texts, splits in pairs)
        return
    running: deque[tuple[tuple[str, ...], Future[list[bytes]]]] = deque()
    with worker_processes(workers, _remember, tokenizer.to_str()) as executor:
        for texts, splits in pairs:
            running.append((splits, executor.submit(_encode, texts)))
            if len(running) == 2 * workers:
                splits, future = running.popleft()
                yield splits, future.result()
        for splits, future in running:
            yield splits, future.result()


_memo: Memo  # of a worker process


def _remember(tokenizer: str) -> None:
    global _memo
    limit_threads(1)
    _memo = Memo(as_text(Tokenizer.from_str(tokenizer)))


def _encode(texts: tuple[str, ...]) -> list[bytes]:
    return _memo.encode(texts)


def _groups(documents: Iterable[tuple[str, str]], batch: int) -> Iterator[Group]:
    """Batches of documents, smaller where the documents are long."""
    group: Group = []
    characters = 0
    for document in documents:
        group.append(document)
        characters += len(document[0])
        if len(group) == batch or characters >= _BATCH_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group
