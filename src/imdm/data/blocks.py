"""Reads what `tokenize_pack` wrote, and says which block comes when. Needs numpy only."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imdm.errors import UserError
from imdm.stage.artifact import sha256

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class Dataset:
    """A packed corpus.

    Attributes:
        path: its dataset.json.
        seq_len: L, tokens per block.
        packing: `corpus.packing`.
        vocab_size: rows of the network's vocabulary, the mask's included.
        tokenizer_kind: BPE (of bytes) or WordPiece.
        tokenizer_source: `corpus.tokenizer`.
        tokenizer_sha256: digest of tokenizer.json, which every model and sample carries along.
        splits: blocks, tokens, dropped (tokens in no block), documents and sha256 of each split.
    """

    path: Path
    corpus: str
    seq_len: int
    packing: str
    vocab_size: int
    mask_id: int
    bos_id: int
    eos_id: int
    tokenizer_kind: str
    tokenizer_source: str
    tokenizer_sha256: str
    splits: dict[str, dict[str, Any]]
    statistics: dict[str, Any]

    @classmethod
    def open(cls, path: str | Path) -> Dataset:
        """Read a dataset.json. Raises UserError: it is missing or isn't one."""
        path = Path(path)
        try:
            tree = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{path} does not exist; run tokenize_pack.") from None
        except (ValueError, OSError):
            tree = None
        if not isinstance(tree, dict) or set(tree) != {field.name for field in fields(cls)} - {"path"}:
            raise UserError(f"{path} is not a dataset.json of tokenize_pack; correct --data or run tokenize_pack again.")
        return cls(path, **tree)

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
        return np.memmap(file, "<u2", mode="r", shape=shape)

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
            config: a models.config.NetworkConfig.
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
