"""Several runs side by side: how far a comparison carries when all of it, teacher and judge too, is trained again."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import stats

from imdm.results.digits import MARKS, digits
from imdm.results.exhibits.main import challenges
from imdm.results.frame import RATIO, first_seed, lines, select, side
from imdm.results.view import NONE, Cell, View

_WHERE = {"": {"kind": "samples"}, ", equal entropy": {"kind": "equal_entropy", "target": "teacher"}}  # by what a recipe's name gets


def mean_ratio(ratios: list[float]) -> tuple[float, float, float]:
    """Geometric mean of ratios that independent runs gave, with its 95% interval by Student's t; no interval of one run (NaN)."""
    logs = np.log(ratios)
    center, spread = logs.mean(), math.nan
    if len(logs) > 1:
        spread = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs))
    return tuple(map(float, np.exp([center, center - spread, center + spread])))


def runs_view(runs: dict[str, pd.DataFrame]) -> View:
    """Gen-PPL over MDLM's (of a keyed student over its teacher's), as sampled and at the teacher's entropy, in each run and over all.

    Args:
        runs: frames of tables.csv by name; the lines are those of the first. Where a run has no ratio there is no mean.
    """
    firsts = [select(first_seed(frame), metric=RATIO) for frame in runs.values()]
    body = []
    for line in challenges(next(iter(runs.values()))):
        for added, where in _WHERE.items():
            every = [{row.steps: row.value for row in lines(select(first, model=line["ours"] or [], **where))} for first in firsts]
            body += [_line(f"{line['label']}{added}", steps, [one.get(steps) for one in every]) for steps in every[0]]
    caption = (
        "Ratio of Gen-PPL: IMDM over MDLM with the same recipe, a keyed student over its teacher. Equal entropy: both at their teacher's. "
        "Mean: geometric. The 95% interval is Student's t over runs: it covers all that differs between them, training too, which a run's "
        f"own intervals don't. {NONE}: an entropy out of reach, or no such model in a run; then there is no mean."
    )
    return View("runs", "Runs side by side", caption, ["Recipe", "Steps", *runs, "mean", "95% interval"], body)


def _line(name: str, steps: int, values: list[float | None]) -> list[Cell]:
    line = [Cell(name), Cell(str(steps), steps), *(Cell(NONE) if v is None else Cell(digits(v, RATIO), v) for v in values)]
    if None in values:
        return [*line, Cell(NONE), Cell(NONE)]
    mean, low, high = mean_ratio(values)
    interval = NONE if math.isnan(low) else f"[{digits(low, RATIO)}, {digits(high, RATIO)}]"
    return [*line, Cell(digits(mean, RATIO), mean), Cell(interval, None, MARKS[side(low, high)])]
