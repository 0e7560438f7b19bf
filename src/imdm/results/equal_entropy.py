"""Gen-PPL over temperatures, and at the entropies at which models are compared.

Two entropies are given to every model: that of the teacher's own samples at the same number of steps, whose trade of
quality for diversity a student inherits (Table 9 takes SDTT's at the same number of steps), and that of held-out text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from imdm.errors import UserError
from imdm.results.frame import RATIO
from imdm.results.names import REAL, TEACHER
from imdm.scoring.bootstrap import resamples
from imdm.scoring.frontier import Frontier, at_entropy, end_of, interval, with_resamples

_RESAMPLES = 1000


def frontier(
    trees: Mapping[str, dict[str, Any]], samples: Mapping[str, pd.DataFrame], real: np.ndarray, compared: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Records of kind `frontier`, the points of each model, and of kind `equal_entropy`, which are interpolated between them.

    All models and temperatures share the resamples, which makes ratios paired; the teacher's entropy is resampled with
    them, the data's by itself, so that the intervals cover both.

    Args:
        trees, samples: frontier.json and per_sample.parquet by model.
        real: entropy of each real text in nats, [m].
        compared: by model the one that its ratio is taken over.

    Raises:
        UserError: models were sampled at other steps or temperatures, or other numbers of samples, than the teacher.
    """
    records = [{"kind": "frontier", "model": model} | point for model, tree in trees.items() for point in tree["rows"]]
    curves = {model: _frontiers(model, samples) for model in trees}
    sampled_at = trees[TEACHER]["sampled_at"]
    picks = with_resamples(len(real), resamples(len(real), _RESAMPLES, 1))
    targets = {("data", steps): real[picks].mean(1) for steps in curves[TEACHER]}
    targets |= {("teacher", n): curve.entropy[:, list(curve.temperatures).index(sampled_at)] for n, curve in curves[TEACHER].items()}
    records.append(_record(REAL, "data", None, "entropy", next(iter(targets.values()))))
    records += [_record(TEACHER, "teacher", n, "entropy", targets["teacher", n]) for n in curves[TEACHER]]
    for (target, steps), entropy in targets.items():
        log_ppl = {}
        for model, by_steps in curves.items():
            log_ppl[model], log_temperature = at_entropy(by_steps[steps], entropy)
            records.append(_record(model, target, steps, "gen_ppl", log_ppl[model], by_steps[steps]))
            records.append(_record(model, target, steps, "temperature", log_temperature))
        for model, base in compared.items():
            with np.errstate(invalid="ignore"):  # inf - inf: both are out of reach, the ratio is not known
                difference = log_ppl[model] - log_ppl[base]
            records.append(_record(model, target, steps, RATIO, difference) | {"against": base})
    return records


def _frontiers(model: str, samples: Mapping[str, pd.DataFrame]) -> dict[int, Frontier]:
    """The frontier of a model by step count."""
    keys, table = ["steps", "temperature", "sample"], samples[model]
    if not np.array_equal(table[keys], samples[TEACHER][keys]):
        raise UserError(f"the frontier of {model} has other steps, temperatures or samples than the teacher's; run stage frontier again.")
    count = table["sample"].max() + 1
    picks = with_resamples(count, resamples(count, _RESAMPLES, 0))
    curves = {}
    for steps, part in table.groupby("steps"):
        nll, tokens, entropy = (part[name].to_numpy(float).reshape(-1, count) for name in ("nll", "tokens", "entropy"))
        curves[int(steps)] = Frontier.of(part["temperature"].unique(), nll, tokens, entropy, picks)
    return curves


def _record(model: str, target: str, steps: int | None, metric: str, values: np.ndarray, curve: Frontier | None = None) -> dict[str, Any]:
    """The record of a value and its resamples [1 + R], which are logarithms but for entropies.

    Where the target is out of reach there is no value; that of a Gen-PPL has the Gen-PPL at the nearest entropy that
    was reached as `low` or `high`.
    """
    record = {"kind": "equal_entropy", "model": model, "target": target, "steps": steps, "metric": metric}
    scale = (lambda end: end) if metric == "entropy" else np.exp
    if np.isfinite(values[0]):
        low, high = (end if end is None else float(scale(end)) for end in interval(values[1:]))
        return record | {"value": float(scale(values[0])), "low": low, "high": high}
    if curve is None:
        return record
    above = values[0] > 0
    return record | {"low" if above else "high": float(np.exp(end_of(curve, above)))}
