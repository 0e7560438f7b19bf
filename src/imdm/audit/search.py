"""Where the n-grams of samples occur in a corpus of any size, in one pass over it.

The samples' n-grams are few and kept sorted; the corpus is read in parts, so that memory is bounded by the samples.
A table of 2^27 leading hash bits (128 MiB) turns most of the corpus away before the binary search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from imdm.audit.ngrams import hash_ngrams

_PREFIX = np.uint64(64 - 27)
_TOKENS = 2**21  # of the corpus at once
_PAIRS = 2**25  # most (sample, block) pairs at once


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
    for gram, block, size in _matches(grams, blocks, n, max(1, _PAIRS // len(rows))):
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


def _matches(grams: np.ndarray, blocks: np.ndarray, n: int, most: int) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
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
