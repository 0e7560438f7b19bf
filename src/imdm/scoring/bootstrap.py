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


def ratio_resamples(numerator: np.ndarray, denominator: np.ndarray, count: int, seed: int, group: int = 1) -> np.ndarray:
    """Bootstrap values [count] of sum numerator / sum denominator, such as nats a token.

    Args:
        numerator, denominator: one value a sample, [n].
        count: resamples.
        group: so many consecutive samples share a prompt and are drawn together; divides n.
    """
    over, under = (values.reshape(-1, group).sum(1) for values in (numerator, denominator))
    index = resamples(len(over), count, seed)
    return over[index].sum(1) / under[index].sum(1)


def ratio_interval(numerator: np.ndarray, denominator: np.ndarray, count: int, seed: int, group: int = 1) -> tuple[float, float]:
    """Interval of `ratio_resamples`."""
    return interval(ratio_resamples(numerator, denominator, count, seed, group))


def mean_interval(values: np.ndarray, count: int, seed: int, group: int = 1) -> tuple[float, float]:
    """Interval of the mean of `values` [n]; `group` as in `ratio_resamples`."""
    return ratio_interval(values, np.ones(len(values)), count, seed, group)
