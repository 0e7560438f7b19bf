"""Token n-grams as 64-bit hashes, and where those of samples occur in a corpus of any size, in one pass over it.

The samples' n-grams are few and kept sorted; the corpus is read in parts, so that memory is bounded by the samples.
A table of 2^27 leading hash bits (128 MiB) turns most of the corpus away before the binary search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

_PREFIX = np.uint64(64 - 27)
_TOKENS = 2**21  # of the corpus at once
_PAIRS = 2**25  # most (sample, block) pairs at once
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
# Of each token id, so that a hash is linear in random numbers: two given n-grams collide with a probability of about 2^-64.
_VALUES = np.random.default_rng(0).integers(2**64, size=2**16, dtype=np.uint64)


def hash_ngrams(tokens: np.ndarray, n: int) -> np.ndarray:
    """Hashes of every n-gram of each row, uint64 [rows, L - n + 1].

    With q n-grams of samples and c of a corpus, about q * c / 2^64 are taken for equal that are not: 1e-3 of all q for
    q = 2e7 and c = 1e9.

    Args:
        tokens: ids below 65,536 [rows, L], L >= n; the end of a document is a token like any other.
    """
    values = _VALUES[tokens]
    last = tokens.shape[1] - n + 1
    hashes = values[:, :last].copy()
    for place in range(1, n):
        hashes *= _FACTOR
        hashes += values[:, place : place + last]
    return hashes


def shared(hashes: np.ndarray) -> np.ndarray:
    """Share of each row's n-grams, given as hashes uint64 [rows, n-grams of a row], that another row has too: float64 [rows]."""
    grams, inverse = np.unique(hashes, return_inverse=True)
    inverse = inverse.reshape(hashes.shape)
    pairs = np.unique(inverse + len(grams) * np.arange(len(hashes))[:, None])  # a row counts once for an n-gram
    rows = np.bincount(pairs % len(grams), minlength=len(grams))
    return (rows[inverse] > 1).mean(1)


@dataclass
class Occurrences:
    """What a corpus has of each row's n-grams.

    Attributes:
        share: of its n-grams, counted at every position, that occur in the corpus, float64 [rows].
        nearest: largest share of them that occur in one block, float64 [rows], 1 for a block repeated word for word; None
            where it was not asked for.
    """

    share: np.ndarray
    nearest: np.ndarray | None = None


def search(rows: np.ndarray, blocks: np.ndarray, n: int, done: Callable[[int], object], nearest: bool = False) -> Occurrences:
    """Look for the n-grams of some rows in a corpus.

    Args:
        rows: token ids [r, L].
        blocks: token ids [b, M], which may be a memory map.
        done: called with the number of blocks after each part.
        nearest: also find each row's nearest block. Where in the block an n-gram stands does not matter, since packed
            blocks cut a text anywhere.
    """
    hashes = hash_ngrams(rows, n)
    grams, inverse = np.unique(hashes, return_inverse=True)
    inverse = inverse.reshape(hashes.shape)
    counts, most = _counts(inverse, len(grams)), np.zeros(len(rows))
    there = np.zeros(len(grams), dtype=bool)
    for gram, block, size in _occurrences(grams, blocks, n, max(1, _PAIRS // len(rows))):
        there[gram] = True
        if nearest:
            occurs = csr_array((np.ones(len(gram), dtype=np.int32), (gram, block)), shape=(len(grams), size))
            most = np.maximum(most, (counts @ occurs).max(axis=1).toarray().ravel())
        done(size)
    return Occurrences(there[inverse].mean(1), most / hashes.shape[1] if nearest else None)


def _counts(inverse: np.ndarray, grams: int) -> csr_array:
    """How often each row has each n-gram, [rows, grams]."""
    rows, width = inverse.shape
    return csr_array((np.ones(inverse.size, dtype=np.int32), (np.repeat(np.arange(rows), width), inverse.ravel())), shape=(rows, grams))


def _occurrences(grams: np.ndarray, blocks: np.ndarray, n: int, most: int) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """(n-gram, block) of every occurrence in a part of the corpus, each pair once, and the number of blocks in it.

    Args:
        grams: hashes, ascending and distinct.
        most: blocks of a part.
    """
    prefixes = np.zeros(2 ** (64 - int(_PREFIX)), dtype=bool)
    prefixes[grams >> _PREFIX] = True
    step = min(most, max(1, _TOKENS // blocks.shape[1]))
    for first in range(0, len(blocks), step):
        hashes = hash_ngrams(blocks[first : first + step], n)
        size = len(hashes)
        block, place = prefixes[hashes >> _PREFIX].nonzero()
        candidates = hashes[block, place]
        gram = np.searchsorted(grams, candidates).clip(max=len(grams) - 1)
        hit = grams[gram] == candidates
        pairs = np.unique(gram[hit] * np.int64(size) + block[hit])
        yield pairs // size, pairs % size, size
