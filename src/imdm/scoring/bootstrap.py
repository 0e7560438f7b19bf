"""Percentile bootstrap intervals over samples (Efron 1979)."""

from __future__ import annotations

import numpy as np

RESAMPLES = 1000
_CELLS = 2**22  # resampled entries held at once; the result does not depend on it


def ratio_interval(
    numerator: np.ndarray, denominator: np.ndarray, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Interval of sum(numerator) / sum(denominator) under resampling of the pairs.

    The exp of it is that of a corpus-level perplexity, where the pairs are NLL and token count of a sample.

    Args:
        numerator, denominator: float [n]; the denominators are not negative and not all zero.
        resamples: how many; resamples in which all denominators are zero are left out.
        seed: equal seeds draw equal samples, so that two models can be compared.
    """
    numerator, denominator = np.asarray(numerator, float), np.asarray(denominator, float)
    n, draw = len(numerator), np.random.default_rng(seed)
    above, below = np.empty(resamples), np.empty(resamples)
    size = max(1, _CELLS // n)
    for start in range(0, resamples, size):
        part = slice(start, min(start + size, resamples))
        picks = draw.integers(n, size=(part.stop - start, n))
        above[part], below[part] = numerator[picks].sum(1), denominator[picks].sum(1)
    some = below > 0
    low, high = np.quantile(above[some] / below[some], [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def mean_interval(values: np.ndarray, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95) -> tuple[float, float]:
    """Interval of the mean of float [n]."""
    return ratio_interval(values, np.ones(len(values)), resamples, seed, level)
