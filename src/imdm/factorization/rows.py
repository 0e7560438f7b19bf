"""From the errors of sequences to figures with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imdm.scoring.bootstrap import mean_interval

if TYPE_CHECKING:
    from pandas import DataFrame

    from imdm.params import Factorization

PER_TOKEN, PER_SEQUENCE = "factorization_error_per_token", "factorization_error_per_sequence"


def error_rows(errors: DataFrame, length: int, settings: Factorization, seed: int) -> list[dict]:
    """Mean error in nats per written token and per sequence, with 95% bootstrap intervals over sequences.

    Args:
        errors: columns steps, noise_draws, sequence, error (nats of a sequence).
        length: L; along a path each position is written once.
    """
    rows = []
    for (steps, draws), group in errors.groupby(["steps", "noise_draws"], sort=False):
        values = group.sort_values("sequence")["error"].to_numpy()
        low, high = mean_interval(values, settings.bootstrap, seed)
        for metric, scale in ((PER_TOKEN, length), (PER_SEQUENCE, 1)):
            found = {"value": values.mean() / scale, "low": low / scale, "high": high / scale}
            rows.append({"steps": int(steps), "noise_draws": int(draws), "metric": metric} | {key: float(v) for key, v in found.items()})
    return rows
