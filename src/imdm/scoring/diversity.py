"""Entropy and n-gram diversity of samples: what guards a low Gen-PPL against mode collapse."""

from __future__ import annotations

import numpy as np


def entropy(samples: np.ndarray) -> np.ndarray:
    """Entropy in nats of the empirical distribution of token ids in each sample of [n, L], float64 [n]; at most ln L."""
    rows = np.sort(samples, axis=1)
    n, length = rows.shape
    starts = np.concatenate([np.ones((n, 1), bool), rows[:, 1:] != rows[:, :-1]], axis=1)
    run = np.cumsum(starts.ravel()) - 1
    p = np.bincount(run) / length
    return np.bincount(np.nonzero(starts)[0], weights=-p * np.log(p), minlength=n)


def ngrams(samples: np.ndarray, n: int) -> np.ndarray:
    """All n-grams [rows, L - n + 1, n]."""
    return np.lib.stride_tricks.sliding_window_view(samples, n, axis=1)


def distinct(samples: np.ndarray, n: int) -> float:
    """Share of distinct n-grams among all n-grams of all samples."""
    grams = ngrams(samples, n).reshape(-1, n)
    return len(np.unique(grams, axis=0)) / len(grams)


def repetition(samples: np.ndarray, n: int) -> np.ndarray:
    """Share of each sample's n-grams that occurred in it before, float64 [rows]."""
    grams = ngrams(samples, n)
    return np.array([1 - len(np.unique(row, axis=0)) / len(row) for row in grams])
