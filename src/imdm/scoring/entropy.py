"""Entropy and diversity of samples, on their own token ids."""

from __future__ import annotations

import numpy as np


def unigram_entropy(rows: np.ndarray) -> np.ndarray:
    """Entropy of the token frequencies within each row, nats, float64 [n]; at most ln L (as in ReDi and Duo).

    Args:
        rows: token ids, int [n, L], special tokens included.
    """
    row, count = _repeats(rows.astype(np.int64))
    length = rows.shape[1]
    return np.log(length) - np.bincount(row, count * np.log(count), len(rows)) / length


def distinct(rows: np.ndarray, n: int) -> float:
    """Distinct n-grams over all n-grams of all rows together (distinct-n of Li et al. 2016). It falls as rows are added."""
    grams = _grams(rows, n)
    return len(np.unique(grams)) / grams.size


def repetition(rows: np.ndarray, n: int) -> np.ndarray:
    """Share of a row's n-grams that occurred earlier in the same row, float64 [n_rows]."""
    grams = _grams(rows, n)
    row, _ = _repeats(grams)
    return 1 - np.bincount(row, minlength=len(rows)) / grams.shape[1]


def _repeats(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each distinct value of each row: the row, and how often it occurs there."""
    span = int(codes.max()) + 1
    keys, count = np.unique(codes + np.arange(len(codes))[:, None] * span, return_counts=True)
    return keys // span, count


def _grams(rows: np.ndarray, n: int) -> np.ndarray:
    """A number for each n-gram, equal where the n-grams are, int64 [rows, L-n+1]. Ranks, not hashes: exact for any n."""
    tokens = rows.astype(np.int64)
    codes, span = tokens, int(tokens.max()) + 1
    for k in range(1, n):
        joint = codes[:, :-1] * span + tokens[:, k:]
        codes = np.unique(joint, return_inverse=True)[1].reshape(joint.shape)
    return codes
