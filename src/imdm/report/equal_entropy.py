"""Rows of the frontier: Gen-PPL over temperatures, and at the entropies at which models are compared.

Two entropies are given to every model: that of the teacher's own samples at the same number of steps, whose trade of
quality for diversity a student inherits (Table 9 takes SDTT's at the same number of steps), and that of held-out text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from imdm.errors import UserError
from imdm.report.names import RATIO, TEACHER, baseline_of
from imdm.report.rows import Row, find
from imdm.scoring.bootstrap import resamples
from imdm.scoring.frontier import Frontier, at_entropy, end_of, interval, with_resamples

if TYPE_CHECKING:
    from pandas import DataFrame

TABLE = "frontier"
AT = {"teacher": "at the teacher's entropy", "data": "at the data's entropy"}  # settings of rows
_RESAMPLES = 1000


def frontier_rows(found: dict[str, dict[str, Any]], samples: dict[str, DataFrame], real: np.ndarray) -> list[Row]:
    """Every row of the table `frontier`: the points of each model, then what is interpolated between them.

    All models and temperatures share the resamples, which makes ratios paired; the teacher's entropy is resampled with
    them, the data's by itself, so that the intervals cover both.

    Args:
        found, samples: frontier.json and per_sample.parquet by model.
        real: entropy of each real text in nats, [m].

    Raises:
        UserError: models were sampled at other steps or temperatures, or other numbers of samples, than the teacher.
    """
    rows = [
        Row(TABLE, model, f"temperature {row['temperature']:g}", row["steps"], row["metric"], row["value"], row["low"], row["high"])
        for model, about in found.items()
        for row in about["rows"]
    ]
    curves = {model: _frontiers(model, samples) for model in found}
    sampled_at = found[TEACHER]["sampled_at"]
    picks = with_resamples(len(real), resamples(len(real), _RESAMPLES, 1))
    targets = {("data", steps): real[picks].mean(1) for steps in curves[TEACHER]}
    targets |= {("teacher", n): curve.entropy[:, list(curve.temperatures).index(sampled_at)] for n, curve in curves[TEACHER].items()}
    rows.append(_row("test text", "data", None, "entropy", next(iter(targets.values()))))
    rows += [_row(TEACHER, "teacher", n, "entropy", targets["teacher", n]) for n in curves[TEACHER]]
    for (target, steps), entropy in targets.items():
        log_ppl = {}
        for model, by_steps in curves.items():
            log_ppl[model], log_temperature = at_entropy(by_steps[steps], entropy)
            rows.append(_row(model, target, steps, "gen_ppl", log_ppl[model], by_steps[steps]))
            rows.append(_row(model, target, steps, "temperature", log_temperature))
        for model in found:
            base = baseline_of(model)
            if base in log_ppl:
                with np.errstate(invalid="ignore"):  # inf - inf: both are out of reach, the ratio is not known
                    difference = log_ppl[model] - log_ppl[base]
                rows.append(_row(f"{model.partition('/')[0]}:{base}", target, steps, RATIO, difference))
    return rows


def _frontiers(model: str, samples: dict[str, DataFrame]) -> dict[int, Frontier]:
    """The frontier of a model by step count."""
    keys, table = ["steps", "temperature", "sample"], samples[model]
    if not np.array_equal(table[keys], samples[TEACHER][keys]):
        raise UserError(
            f"the frontier of {model} has other steps, temperatures or samples than the teacher's; run stages/frontier.py again."
        )
    count = table["sample"].max() + 1
    picks = with_resamples(count, resamples(count, _RESAMPLES, 0))
    found = {}
    for steps, part in table.groupby("steps"):
        values = (part[name].to_numpy(float).reshape(-1, count) for name in ("nll", "tokens", "entropy"))
        found[int(steps)] = Frontier.of(part["temperature"].unique(), *values, picks)
    return found


def _row(model: str, target: str, steps: int | None, metric: str, values: np.ndarray, curve: Frontier | None = None) -> Row:
    """The row of a value and its resamples [1 + R], which are logarithms but for entropies.

    Where the target is out of reach the row has no value; that of a Gen-PPL has the Gen-PPL at the nearest entropy that
    was reached as `low` or `high`.
    """
    scale = (lambda end: end) if metric == "entropy" else np.exp
    if np.isfinite(values[0]):
        low, high = (end if end is None else float(scale(end)) for end in interval(values[1:]))
        return Row(TABLE, model, AT[target], steps, metric, float(scale(values[0])), low, high)
    if curve is None:
        return Row(TABLE, model, AT[target], steps, metric, None)
    above = values[0] > 0
    end = float(np.exp(end_of(curve, above)))
    return Row(TABLE, model, AT[target], steps, metric, None, *((end, None) if above else (None, end)))


def at(rows: list[Row], target: str, model: str, steps: int | None, metric: str = "gen_ppl") -> Row | None:
    """The row of a model at the `teacher`'s or the `data`'s entropy."""
    return find(rows, table=TABLE, setting=AT[target], model=model, steps=steps, metric=metric)


def decided(ratio: Row | None) -> str:
    """Whose Gen-PPL is lower: `ours` or `base` where the ratio's paired interval leaves out 1, else `tie`; `` without a ratio."""
    if ratio is None or ratio.value is None:
        return ""
    return "ours" if ratio.high is not None and ratio.high < 1 else "base" if ratio.low is not None and ratio.low > 1 else "tie"
