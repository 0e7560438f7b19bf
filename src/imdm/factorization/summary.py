"""From the errors of sequences to figures with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imdm.factorization.estimate import PARTS
from imdm.scoring.bootstrap import mean_interval

if TYPE_CHECKING:
    import numpy as np
    from pandas import DataFrame

    from imdm.params import Factorization


def sequence_frame(errors: dict[str, np.ndarray], settings: Factorization) -> DataFrame:
    """One line a step count and sequence: nats of a sequence by error_mM for each number M of noise draws, and the parts.

    Args:
        errors: `path_errors` of each step count N, named N.NAME, as numpy arrays.
    """
    import pandas as pd

    frames = []
    for n in settings.steps:
        columns = {f"error_m{m}": errors[f"{n}.errors"][:, place] for place, m in enumerate(settings.noise_draws)}
        columns |= {name: errors[f"{n}.{name}"] for name in (*PARTS, "joint")}
        frames.append(pd.DataFrame({"steps": n, "sequence": range(settings.sequences)} | columns))
    return pd.concat(frames, ignore_index=True)


def error_records(frame: DataFrame, length: int, settings: Factorization, seed: int) -> list[dict]:
    """Means of every column in nats per written token, and of the error per sequence, with 95% bootstrap intervals over sequences.

    Args:
        frame: of `sequence_frame`.
        length: L; along a path each position is written once.
    """
    final = f"error_m{settings.noise_draws[-1]}"
    records = []
    for steps, group in frame.groupby("steps", sort=False):
        for column in frame.columns.drop(["steps", "sequence", "joint"]):
            values = group[column].to_numpy()
            low, high = mean_interval(values, settings.bootstrap, seed)
            for unit, scale in (("token", length), ("sequence", 1))[: 2 if column == final else 1]:
                figure = {"value": values.mean() / scale, "low": low / scale, "high": high / scale}
                records.append({"steps": int(steps), "metric": f"{column}_nats_per_{unit}"} | {key: float(v) for key, v in figure.items()})
    return records
