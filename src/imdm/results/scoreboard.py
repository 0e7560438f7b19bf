"""Every metric of models beside those of controls, which are no language models, and which metrics prefer a control to the teacher."""

from __future__ import annotations

from typing import Any

import pandas as pd

from imdm.results.frame import RATIO, Find, one, select
from imdm.results.names import TEACHER, metric_name, name_of, step_words
from imdm.results.table import MODEL, STEPS, Column, Line, digits, distinct, make_view, metrics_in, value_cell
from imdm.results.view import DAGGER, NONE, Cell, View
from imdm.scoring.controls import NGRAM, PERIODIC, SHUFFLED

_CONTROLS = (SHUFFLED, NGRAM, PERIODIC)  # held-out text is none that a metric could be fooled by
_LOW, _HIGH, _NEAR = "low", "high", "near"
# What is better: low, high, or near the value of real text.
BETTER = {"gen_ppl": _LOW, "gen_ppl_mean": _LOW, "entropy": _NEAR, "mauve": _HIGH, "energy": _LOW, "frechet": _LOW, "jsd_1": _LOW}
BETTER |= {"jsd_2": _LOW, "jsd_3": _LOW, "distinct_4": _NEAR, "repetition_4": _NEAR, "validity_pct": _HIGH, "bigram_kl_nats": _LOW}


def _rank(metric: str, value: float, real: float | None) -> float:
    """What is lower for the better of two values of a metric; `real` is that of real text."""
    better = BETTER[metric]
    return value if better == _LOW else -value if better == _HIGH else abs(value - (real or 0.0))


def _value(frame: pd.DataFrame, **wanted: Any) -> float | None:
    number = one(frame, **wanted)
    return number.value if number else None


def teacher_steps(frame: pd.DataFrame) -> int | None:
    """The most steps of the teacher's samples; None where there are none."""
    steps = select(frame, kind="samples", model=TEACHER, metric="gen_ppl")["steps"]
    return int(steps.max()) if len(steps) else None


def fooled(frame: pd.DataFrame) -> dict[str, list[str]]:
    """By metric the controls that it ranks above the teacher at its most steps, by value; without a teacher nothing."""
    steps = teacher_steps(frame)
    found: dict[str, list[str]] = {}
    for metric in [name for name in metrics_in(frame, kind="control") if steps and name in BETTER]:
        teacher = _value(frame, kind="samples", model=TEACHER, steps=steps, metric=metric)
        real = _value(frame, kind="reference", metric=metric)
        if teacher is None or BETTER[metric] == _NEAR and real is None:
            continue
        controls = {name: _value(frame, kind="control", model=name, metric=metric) for name in _CONTROLS}
        least = _rank(metric, teacher, real)
        if ahead := [name for name, value in controls.items() if value is not None and _rank(metric, value, real) < least]:
            found[metric] = ahead
    return found


def fooled_counts(frame: pd.DataFrame) -> dict[str, int]:
    """By control, how many metrics rank it above the teacher; `of`, how many there are with a better end."""
    wrong = fooled(frame)
    counts = {name: sum(name in ahead for ahead in wrong.values()) for name in _CONTROLS}
    return counts | {"of": sum(metric in BETTER for metric in metrics_in(frame, kind="control"))}


def judge_words(frame: pd.DataFrame) -> str:
    """The judge and its own perplexity on held-out text."""
    judge = one(frame, kind="judge", metric="val_ppl")
    if judge is None or judge.value is None:
        return "the judge"
    return f"the judge {judge.setting!r} (own held-out perplexity {digits(judge.value, judge.metric)})"


def quality(frame: pd.DataFrame, name: str = "quality") -> View:
    """Every metric of real text, controls and models, one column each; a control that a metric ranks above the teacher is marked."""
    kinds = ["reference", "control", "samples"]
    shown, wrong = select(frame, kind=kinds, replicate=0), fooled(frame)
    metrics = [name for name in metrics_in(shown) if name != RATIO]

    def column(metric: str) -> Column:
        def cell(line: Line, find: Find) -> Cell:
            made = value_cell(find(**line, metric=metric))
            ahead = line["kind"] == "control" and line["model"] in wrong.get(metric, ())
            return Cell(f"{made.text} {DAGGER}", made.sort, "disagree") if ahead else made

        return Column(f"{metric_name(metric)} {DAGGER}" if metric in wrong else metric_name(metric), cell)

    lines = distinct(shown.sort_values("kind", key=lambda column: column.map(kinds.index), kind="stable"), "kind", "model", "steps")
    return make_view(name, _caption(frame, wrong), [MODEL, STEPS, *map(column, metrics)], lines, shown)


def _caption(frame: pd.DataFrame, wrong: dict[str, list[str]]) -> str:
    parts = [
        f"Under {judge_words(frame)}. Energy and Fréchet distance: of the judge's features from those of real text, in its standard "
        "deviations. JSD: divergence of n-grams from real text's, at most ln 2 = 0.693. Other held-out text has what a metric gives to "
        "text itself at this count. Rep-4: 4-grams that came before in the same text. 95% intervals over samples; MAUVE: one standard "
        "deviation over k-means seeds."
    ]
    steps = teacher_steps(frame)
    if steps and len(select(frame, kind="control")):
        sides = ", ".join(f"{metric_name(metric)} by {' and '.join(map(name_of, names))}" for metric, names in wrong.items()) or NONE
        parts.append(f"{DAGGER} Fooled: ranks a control above the teacher at {step_words(steps)}: {sides}.")
    return " ".join(parts)
