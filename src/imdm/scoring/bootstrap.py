"""Percentile bootstrap over samples: a 95% interval for every figure of a table."""

from __future__ import annotations

import numpy as np


def resamples(n: int, count: int, seed: int) -> np.ndarray:
    """Indices [count, n], drawn with replacement."""
    return np.random.default_rng(seed).integers(0, n, (count, n))


def interval(values: np.ndarray) -> tuple[float, float]:
    """The central 95% of bootstrap values."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def ratio_interval(numerator: np.ndarray, denominator: np.ndarray, count: int, seed: int) -> tuple[float, float]:
    """Interval of exp(sum numerator / sum denominator), for corpus-level perplexity."""
    index = resamples(len(numerator), count, seed)
    return interval(np.exp(numerator[index].sum(1) / denominator[index].sum(1)))


def mean_interval(values: np.ndarray, count: int, seed: int) -> tuple[float, float]:
    """Interval of a mean."""
    return interval(values[resamples(len(values), count, seed)].mean(1))
