"""Reads what `tokenize_pack` wrote, and says which block comes when. Needs numpy only."""

from __future__ import annotations

import functools
import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BaseModel, Field, model_validator, with_config
from typing_extensions import TypedDict

from imdm.errors import UserError
from imdm.files import STRICT, read_json
from imdm.stage.artifact import sha256

if TYPE_CHECKING:
    from tokenizers import Tokenizer


Count = Annotated[int, Field(ge=0, lt=2**48)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@with_config(STRICT)
class Split(TypedDict):
    """A split: its blocks, tokens in them, tokens in none, documents, and the digest of its file."""

    blocks: Count
    tokens: Count
    dropped: Count
    documents: Count
    sha256: Digest


class Dataset(BaseModel):
    """A packed corpus.

    Attributes:
        path: its dataset.json.
        seq_len: L, tokens per block.
        packing: `corpus.packing`.
        vocab_size: rows of the network's vocabulary, the mask's included.
        tokenizer_kind: BPE (of bytes) or WordPiece.
        tokenizer_source: `corpus.tokenizer`.
        tokenizer_sha256: digest of tokenizer.json, which every model and sample carries along.
    """

    path: Path = Path()
    corpus: str
    seq_len: Annotated[int, Field(ge=3, le=65_536)]
    packing: str
    vocab_size: Annotated[int, Field(ge=1, le=65_536)]
    mask_id: Count
    bos_id: Count
    eos_id: Count
    tokenizer_kind: str
    tokenizer_source: str
    tokenizer_sha256: Digest
    splits: dict[str, Split]
    statistics: dict[str, Any]

    model_config = STRICT | {"frozen": True}

    @model_validator(mode="after")
    def _tokens(self) -> Dataset:
        if max(self.mask_id, self.bos_id, self.eos_id) >= self.vocab_size:
            raise ValueError("mask_id, bos_id and eos_id must be less than vocab_size")
        return self

    @classmethod
    def open(cls, path: str | Path) -> Dataset:
        """Read a dataset.json. Raises UserError: it is missing or isn't one."""
        data = read_json(path, cls, "a dataset.json of tokenize_pack", "correct --data or run tokenize_pack again")
        return data.model_copy(update={"path": Path(path)})

    def split(self, name: str) -> np.ndarray:
        """Blocks of train, judge, valid or test: a memory map uint16 [n, L], checked against its sha256.

        Raises:
            UserError: the split has no blocks, or its file is missing, truncated or edited.
        """
        if name not in self.splits:
            raise UserError(f"{self.path} has no split {name!r}; it has {', '.join(self.splits)}.")
        expected = self.splits[name]
        if not expected["blocks"]:
            raise UserError(f"{self.path} has no {name} blocks; set corpus.{name}_fraction above 0 and run tokenize_pack again.")
        file = self.path.with_name(f"{name}.bin")
        shape = (expected["blocks"], self.seq_len)
        size = file.stat().st_size if file.exists() else None
        if size != 2 * shape[0] * shape[1]:
            fault = "is missing" if size is None else f"has {size} bytes instead of {2 * shape[0] * shape[1]}"
            raise UserError(f"{file} {fault}; delete {self.path.parent} and run tokenize_pack again.")
        if sha256(file) != expected["sha256"]:
            raise UserError(f"{file} was edited or is damaged (its sha256 is not the one in {self.path.name}); run tokenize_pack again.")
        blocks = np.memmap(file, "<u2", mode="r", shape=shape)
        if max(int(blocks[start : start + 65536].max()) for start in range(0, len(blocks), 65536)) >= self.vocab_size:
            raise UserError(f"{file} holds tokens beyond the {self.vocab_size} of {self.path.name}; run tokenize_pack again.")
        return blocks

    def tokenizer(self) -> Tokenizer:
        """The tokenizer of this corpus. Raises UserError: tokenizer.json is missing, damaged or of another corpus."""
        from imdm.data.tokenizer import read_tokenizer

        file = self.path.with_name("tokenizer.json")
        tokenizer = read_tokenizer(file)
        if sha256(file) != self.tokenizer_sha256:
            raise UserError(f"{file} is not the tokenizer that {self.path} was packed with; run tokenize_pack again.")
        return tokenizer

    def check_vocabulary(self, config: Any, origin: str) -> None:
        """Refuse a network that was made for another vocabulary or length.

        Args:
            config: a NetworkConfig.
            origin: file of the network, for the message.

        Raises:
            UserError: vocabulary, its file's digest or the sequence length differ.
        """
        for key in ("vocab_size", "seq_len", "tokenizer_sha256"):
            if getattr(config, key) != getattr(self, key):
                differ = f"{origin} has {key} {getattr(config, key)}, but {self.path} has {getattr(self, key)}"
                raise UserError(f"{differ}; use a network that was made for this corpus.")


@functools.lru_cache(maxsize=4)
def block_order(n_blocks: int, seed: int, epoch: int) -> np.ndarray:
    """Which block is at each position of an epoch: a uniformly random permutation, int64 [n_blocks].

    Blocks are sorted by 64-bit hashes of (seed, epoch, block), so the order needs no generator and is the same
    with every version of numpy.
    """
    root = hashlib.sha256(f"order:{seed}:{epoch}".encode()).digest()
    x = np.arange(1, n_blocks + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.frombuffer(root[:8], "<u8")
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)  # SplitMix64 (Steele, Lea and Flood 2014)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    order = np.argsort(x ^ (x >> np.uint64(31)), kind="stable")
    order.setflags(write=False)
    return order


def batch_indices(n_blocks: int, step: int, batch_size: int, seed: int) -> np.ndarray:
    """Blocks of a training step's global batch, int64 [batch_size].

    Epoch after epoch, each in its own order, is one endless row, of which step k takes places
    k*batch_size .. (k+1)*batch_size - 1: within an epoch no block comes twice. A pure function of its
    arguments, so that a training that goes on after an interruption sees what it would have seen.

    Args:
        n_blocks: size of the split, at least 1; may be smaller than the batch.
        step: from 0.
        seed: any integer.
    """
    place, end, parts = step * batch_size, (step + 1) * batch_size, []
    while place < end:
        epoch, offset = divmod(place, n_blocks)
        parts.append(block_order(n_blocks, seed, epoch)[offset : offset + end - place])
        place += len(parts[-1])
    return np.concatenate(parts)


def unigram_perplexity(train: np.ndarray, held_out: np.ndarray, vocab_size: int) -> float:
    """Perplexity of held-out blocks under the token frequencies of `train`, one added to each count.

    Over all positions of the blocks, as the NELBO counts them, so that the two compare.

    Args:
        train, held_out: uint16 [n, L].
    """
    counts = token_counts(train, vocab_size) + 1.0
    nats = -(token_counts(held_out, vocab_size) * np.log(counts / counts.sum())).sum() / held_out.size
    return math.exp(nats)


def token_counts(blocks: np.ndarray, vocab_size: int) -> np.ndarray:
    """How often each token occurs, float64 [V]; reads a part of the blocks at a time."""
    counts = np.zeros(vocab_size)
    for start in range(0, len(blocks), 65536):
        counts += np.bincount(blocks[start : start + 65536].ravel(), minlength=vocab_size)
    return counts
