"""Gen-PPL at a given entropy, from samples at a range of temperatures.

log Gen-PPL is interpolated linearly in entropy between neighbouring temperatures. Entropy grows with temperature but for
sampling noise, so temperatures whose entropies are out of order are pooled (isotonic regression of entropy on
temperature): they count as one point at their mean entropy and mean log Gen-PPL. Nothing is extrapolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Interval = tuple[float | None, float | None]  # None: an end that is not reached


@dataclass(frozen=True)
class Frontier:
    """A model at one step count: the samples as they are first, then resamples of them.

    Attributes:
        temperatures: ascending, [K].
        entropy: mean over samples, nats, [1 + R, K].
        log_ppl: corpus-level log Gen-PPL, [1 + R, K].
    """

    temperatures: np.ndarray
    entropy: np.ndarray
    log_ppl: np.ndarray

    @classmethod
    def of(cls, temperatures: np.ndarray, nll: np.ndarray, tokens: np.ndarray, entropy: np.ndarray, picks: np.ndarray) -> Frontier:
        """The frontier of samples whose row i has the same draws at every temperature.

        Args:
            nll, tokens, entropy: of each sample, [K, n].
            picks: of `with_resamples`; all temperatures, and all models that are to be paired, get the same.
        """
        sums = [np.stack([row[picks].sum(1) for row in values], axis=1) for values in (nll, tokens, entropy)]
        return cls(temperatures, sums[2] / picks.shape[1], sums[0] / sums[1])


def with_resamples(n: int, picks: np.ndarray) -> np.ndarray:
    """Indices of all n samples, then those of resamples [R, n]: int64 [1 + R, n]."""
    return np.concatenate([np.arange(n)[None], picks])


def pooled(entropy: np.ndarray, *values: np.ndarray) -> tuple[np.ndarray, ...]:
    """Points [K] in the order of their temperatures, with those whose entropies fall replaced by their means."""
    if (np.diff(entropy) > 0).all():
        return entropy, *values
    from scipy.optimize import isotonic_regression

    starts = isotonic_regression(entropy).blocks
    return tuple(np.add.reduceat(row, starts[:-1]) / np.diff(starts) for row in (entropy, *values))


def at_entropy(frontier: Frontier, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log Gen-PPL and log temperature at an entropy, [1 + R] each: -inf below every entropy that was reached, inf above.

    Args:
        targets: entropy in nats for the samples as they are and for each resample, [1 + R].
    """
    log_temperatures = np.log(frontier.temperatures)
    curves_at = np.empty((2, len(targets)))
    for place, (entropy, log_ppl, target) in enumerate(zip(frontier.entropy, frontier.log_ppl, targets, strict=True)):
        x, *curves = pooled(entropy, log_ppl, log_temperatures)
        curves_at[:, place] = [np.interp(target, x, y, left=-np.inf, right=np.inf) for y in curves]
    return curves_at[0], curves_at[1]


def end_of(frontier: Frontier, above: bool) -> float:
    """log Gen-PPL at the highest (or lowest) entropy that was reached."""
    return float(pooled(frontier.entropy[0], frontier.log_ppl[0])[1][-1 if above else 0])


def interval(values: np.ndarray) -> Interval:
    """The central 95% of resamples, some of which may be out of reach: -inf, inf, or nan where it is not known on which side.

    An end that lies among those out of reach is None.
    """
    unknown = np.isnan(values)
    low = np.quantile(np.where(unknown, -np.inf, values), 0.025, method="lower")
    high = np.quantile(np.where(unknown, np.inf, values), 0.975, method="higher")
    first, last = (float(end) if np.isfinite(end) else None for end in (low, high))
    return first, last
