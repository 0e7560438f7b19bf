"""Token n-grams as 64-bit hashes."""

from __future__ import annotations

import numpy as np

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
    """Share of each row's n-grams that occur in another row too, float64 [rows].

    Args:
        hashes: uint64 [rows, n-grams of a row].
    """
    grams, inverse = np.unique(hashes, return_inverse=True)
    inverse = inverse.reshape(hashes.shape)
    pairs = np.unique(inverse + len(grams) * np.arange(len(hashes))[:, None])  # a row counts once for an n-gram
    rows = np.bincount(pairs % len(grams), minlength=len(grams))
    return (rows[inverse] > 1).mean(1)
