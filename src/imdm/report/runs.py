"""Several runs side by side: how far a comparison carries when all of it, teacher and judge too, is trained again."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from scipy import stats

from imdm.errors import UserError
from imdm.report.cells import MARKS, NONE, Cell, View, number
from imdm.report.equal_entropy import AT, TABLE
from imdm.report.names import RATIO, versus
from imdm.report.rows import Row, read_rows, select
from imdm.report.views import challenges

_WHERE = {"": {"table": "4"}, ", equal entropy": {"table": TABLE, "setting": AT["teacher"]}}  # rows, by what a recipe's name gets


def by_run(paths: list[Path]) -> dict[str, list[Row]]:
    """Rows of each tables.csv by the name of its run, RUN of RUN/tables/tables.csv.

    Raises:
        UserError: a file is missing or no table of rows, or two have one name.
    """
    names = [path.resolve().parent.parent.name for path in paths]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"two of the tables are of runs called {twice}; name each run once.")
    return {name: read_rows(path) for name, path in zip(names, paths, strict=True)}


def mean_ratio(ratios: list[float]) -> tuple[float, float, float]:
    """Geometric mean of ratios that independent runs gave, with its 95% interval by Student's t; no interval of one run (NaN)."""
    logs = np.log(ratios)
    center, spread = logs.mean(), math.nan
    if len(logs) > 1:
        spread = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs))
    return tuple(map(float, np.exp([center, center - spread, center + spread])))


def runs_view(runs: dict[str, list[Row]]) -> View:
    """Gen-PPL over MDLM's (of a keyed student over its teacher's), as sampled and at the teacher's entropy, in each run and over all.

    Args:
        runs: rows of tables.csv by name; the lines are those of the first. Where a run has no ratio there is no mean.
    """
    body = []
    for variant, recipe, label in challenges(next(iter(runs.values()))):
        for added, where in _WHERE.items():
            found = [select(rows, model=versus(variant, recipe), metric=RATIO, **where) for rows in runs.values()]
            every = [{row.steps: row.value for row in of_run} for of_run in found]
            body += [_line(f"{label}{added}", steps, [one.get(steps) for one in every]) for steps in every[0]]
    caption = (
        "Ratio of Gen-PPL: IMDM over MDLM with the same recipe, a keyed student over its teacher. Equal entropy: both at their teacher's. "
        "Mean: geometric. The 95% interval is Student's t over runs: it covers all that differs between them, training too, which a run's "
        f"own intervals don't. {NONE}: an entropy out of reach, or no such model in a run; then there is no mean."
    )
    return View("runs", "Runs side by side", caption, ["Recipe", "Steps", *runs, "mean", "95% interval"], body)


def _line(name: str, steps: int, values: list[float | None]) -> list[Cell]:
    cells = [Cell(NONE) if value is None else Cell(number(value, RATIO), value) for value in values]
    if None in values:
        return [Cell(name), Cell(str(steps), steps), *cells, Cell(NONE), Cell(NONE)]
    mean, low, high = mean_ratio(values)
    mark = "ours" if high < 1 else "base" if low > 1 else "tie"
    interval = NONE if math.isnan(low) else f"[{number(low, RATIO)}, {number(high, RATIO)}]"
    return [Cell(name), Cell(str(steps), steps), *cells, Cell(number(mean, RATIO), mean), Cell(interval, None, MARKS[mark])]
