"""Several runs side by side: the ratios of the comparison in each, and over all with Student's t interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from imdm.errors import UserError
from imdm.results.frame import RATIO, first_seed, select
from imdm.results.names import METRICS, TEACHER, name_of
from imdm.results.panels import COLOURS, GREY, INK, panels
from imdm.results.table import Line, digits
from imdm.results.tables import WHERE, comparisons
from imdm.results.view import NONE, Cell, View

Runs = dict[str, pd.DataFrame]  # tables.csv by the run's name
Row = tuple[str, int, list[float]]  # what it is called, sampling steps, and the value in each run
MeanOf = Callable[[list[float]], tuple[float, float, float]]


def mean_ratio(ratios: list[float]) -> tuple[float, float, float]:
    """Geometric mean of ratios that independent runs gave, with its 95% interval by Student's t; no interval of one run (NaN)."""
    mean, low, high = map(math.exp, student(list(np.log(ratios))))
    return mean, low, high


def student(values: list[float]) -> tuple[float, float, float]:
    """Mean of what independent runs gave, with its 95% interval by Student's t; NaN where a value is, and no interval of one run."""
    mean = float(np.mean(values))
    wide = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)) if len(values) > 1 else math.nan
    return mean, mean - wide, mean + wide


def ratios(runs: Runs) -> Iterator[tuple[Line, str, int, list[float]]]:
    """What is compared, where (of WHERE), steps, and the ratio of Gen-PPL in each run; NaN where a run has none.

    The lines are those of the first run: IMDM over MDLM with the same recipe, and a keyed student over its teacher.
    """
    firsts = [select(first_seed(frame), metric=RATIO) for frame in runs.values()]
    for line in comparisons(next(iter(runs.values()))):
        for name, where in WHERE.items():
            parts = [select(first, model=line["ours"] or [], **where) for first in firsts]
            found = [dict(zip(part["steps"], part["value"], strict=True)) for part in parts]
            yield from ((line, name, int(steps), [of_run.get(steps, math.nan) for of_run in found]) for steps in found[0])


def runs_view(runs: Runs) -> View:
    """The ratios in each run and over all."""
    first, _ = WHERE
    rows = [(line["label"] + ("" if where == first else ", equal entropy"), steps, values) for line, where, steps, values in ratios(runs)]
    caption = (
        "Gen-PPL of IMDM over MDLM with the same recipe, of a keyed student over its teacher. Equal entropy: both at their teacher's. "
        "Mean: geometric, with Student's t interval over runs. It covers all that differs between runs, training too; a run's own "
        f"intervals don't. {NONE}: an entropy out of reach, or no such model in a run."
    )
    return _view("Runs side by side", caption, "Recipe", runs, rows, RATIO, mean_ratio)


def metric_view(runs: Runs, metric: str) -> View:
    """A metric of every model's samples in each run, and its mean over runs. Raises UserError: no run has the metric."""
    firsts = [select(first_seed(frame), kind="samples") for frame in runs.values()]
    parts = [select(first, metric=metric).dropna(subset="value") for first in firsts]
    of_runs = [dict(zip(zip(part["model"], part["steps"]), part["value"])) for part in parts]
    if not any(of_runs):
        raise UserError(f"no run has samples' {metric}; choose one of {', '.join(sorted(set(pd.concat(firsts)['metric'])))}.")
    places = dict.fromkeys(place for values in of_runs for place in values)
    rows = [(name_of(model), int(n), [of_run.get((model, n), math.nan) for of_run in of_runs]) for model, n in places]
    caption = "Mean: over runs, with Student's t interval, which covers all that differs between them, training too."
    return _view(f"{METRICS.get(metric, metric)} of several runs", caption, "Model", runs, rows, metric, student)


def _view(title: str, caption: str, head: str, runs: Runs, rows: list[Row], metric: str, mean_of: MeanOf) -> View:
    """A table of the runs' values, and of their mean with its interval where all runs have one."""
    body = []
    for name, steps, values in rows:
        mean, low, high = mean_of(values)
        cells = [Cell(NONE) if math.isnan(value) else Cell(digits(value, metric), value) for value in (*values, mean)]
        ends = NONE if math.isnan(low) else f"[{digits(low, metric)}, {digits(high, metric)}]"
        body.append([Cell(name), Cell(str(steps), steps), *cells, Cell(ends)])
    return View("runs", title, caption, [head, "Steps", *runs, "mean", "95% interval"], body)


def draw_runs(runs: Runs, stem: Path) -> None:
    """Draw the mean ratios over runs with their intervals, a panel each comparison. Raises UserError: there are none."""
    found = [(line, where, n, mean_ratio(values)) for line, where, n, values in ratios(runs) if not any(map(math.isnan, values))]
    if not found:
        raise UserError(f"{', '.join(runs)} have no ratio in common; name runs of the same models and steps.")
    bases, steps = {line["label"]: line["base"] for line, *_ in found}, sorted({n for _, _, n, _ in found})
    colours = dict(zip(WHERE, (GREY, COLOURS["imdm"]), strict=True))
    with panels(stem, 1, len(bases), (2.3 * len(bases), 2.7), sharey=True) as places:
        for axes, (label, base) in zip(places[0], bases.items(), strict=True):
            axes.axhline(1, color=INK, linewidth=0.8)
            for shift, (where, colour) in zip((-0.12, 0.12), colours.items(), strict=True):
                means = [(steps.index(n) + shift, *mean) for line, at, n, mean in found if (line["label"], at) == (label, where)]
                if not means:  # at equal entropy, where that was not measured
                    continue
                x, mean, low, high = map(np.array, zip(*means))
                axes.errorbar(x, mean, yerr=[mean - low, high - mean], fmt="o", color=colour, capsize=2.2, label=where)
            of = "student / teacher" if base == TEACHER else "IMDM / MDLM"
            axes.set(title=f"{label}\n{of}", xlabel="sampling steps", yscale="log", xlim=(-0.5, len(steps) - 0.5))
            axes.set_xticks(range(len(steps)), map(str, steps))
        bottom, top = places[0][0].get_ylim()
        ticks = [tick for tick in (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.2, 1.5, 2.0) if bottom < tick < top]
        places[0][0].set_yticks(ticks, map(str, ticks))
        places[0][0].minorticks_off()
        places[0][0].set_ylabel("ratio of Gen-PPL")
