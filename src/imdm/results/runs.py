"""Several runs side by side: the ratios of the comparison in each, and over all with Student's t interval."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from imdm.errors import UserError
from imdm.results.frame import RATIO, first_seed, lines, select, side
from imdm.results.names import METRICS, TEACHER, name_of
from imdm.results.panels import COLOURS, GREY, INK, panels
from imdm.results.table import MARKS, digits
from imdm.results.tables import WHERE, comparisons
from imdm.results.view import NONE, Cell, View

Runs = dict[str, pd.DataFrame]  # tables.csv by the run's name


def mean_ratio(ratios: list[float]) -> tuple[float, float, float]:
    """Geometric mean of ratios that independent runs gave, with its 95% interval by Student's t; no interval of one run (NaN)."""
    mean, low, high = map(math.exp, student(list(np.log(ratios))))
    return mean, low, high


def student(values: list[float]) -> tuple[float, float, float]:
    """Mean of what independent runs gave, with its 95% interval by Student's t; NaN where a value is, and no interval of one run."""
    mean = float(np.mean(values))
    wide = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)) if len(values) > 1 else math.nan
    return mean, mean - wide, mean + wide


def ratios(runs: Runs) -> Iterator[tuple[str, str, int, list[float | None]]]:
    """What is compared, where (of WHERE), steps, and the ratio of Gen-PPL in each run; None where a run has none.

    The lines are those of the first run: IMDM over MDLM with the same recipe, and a keyed student over its teacher.
    """
    firsts = [select(first_seed(frame), metric=RATIO) for frame in runs.values()]
    for line in comparisons(next(iter(runs.values()))):
        for name, where in WHERE.items():
            numbers = [lines(select(first, model=line["ours"] or [], **where)) for first in firsts]
            found = [{ratio.steps: ratio.value for ratio in of_run if ratio.steps is not None} for of_run in numbers]
            yield from ((line["label"], name, steps, [of_run.get(steps) for of_run in found]) for steps in found[0])


def runs_view(runs: Runs) -> View:
    """The ratios in each run and over all. Where a run has none there is no mean."""
    body = []
    for label, where, steps, values in ratios(runs):
        added = "" if where == next(iter(WHERE)) else ", equal entropy"
        cells = [Cell(NONE) if value is None else Cell(digits(value, RATIO), value) for value in values]
        known = [value for value in values if value is not None]
        mean = _mean(*mean_ratio(known), RATIO) if len(known) == len(values) else [Cell(NONE), Cell(NONE)]
        body.append([Cell(f"{label}{added}"), Cell(str(steps), steps), *cells, *mean])
    caption = (
        "Gen-PPL of IMDM over MDLM with the same recipe, of a keyed student over its teacher. Equal entropy: both at their teacher's. "
        "Mean: geometric, with Student's t interval over runs. It covers all that differs between runs, training too; a run's own "
        f"intervals don't. {NONE}: an entropy out of reach, or no such model in a run."
    )
    return View("runs", "Runs side by side", caption, ["Recipe", "Steps", *runs, "mean", "95% interval"], body)


def metric_view(runs: Runs, metric: str) -> View:
    """A metric of every model's samples in each run, and its mean over runs with Student's 95% interval, where all runs have it.

    Raises:
        UserError: no run has the metric.
    """
    firsts = [select(first_seed(frame), kind="samples") for frame in runs.values()]
    of_runs = [{(n.model, n.steps): n.value for n in lines(select(first, metric=metric)) if n.value is not None} for first in firsts]
    if not any(of_runs):
        raise UserError(f"no run has samples' {metric}; choose one of {', '.join(sorted(set(pd.concat(firsts)['metric'])))}.")
    body = []
    for place in dict.fromkeys(place for values in of_runs for place in values):
        values = [of_run.get(place, math.nan) for of_run in of_runs]
        cells = [Cell(NONE) if math.isnan(value) else Cell(digits(value, metric), value) for value in values]
        body.append([Cell(name_of(place[0])), Cell(str(place[1]), place[1]), *cells, *_mean(*student(values), metric)])
    caption = "Mean: over runs, with Student's t interval, which covers all that differs between them, training too."
    return View("runs", f"{METRICS.get(metric, metric)} of several runs", caption, ["Model", "Steps", *runs, "mean", "95% interval"], body)


def _mean(mean: float, low: float, high: float, metric: str) -> list[Cell]:
    """A mean over runs and its interval, each of which may be NaN; that of ratios is marked where it leaves out 1."""
    ends = NONE if math.isnan(low) else f"[{digits(low, metric)}, {digits(high, metric)}]"
    mark = MARKS[side(low, high)] if metric == RATIO else ""
    return [Cell(NONE) if math.isnan(mean) else Cell(digits(mean, metric), mean), Cell(ends, None, mark)]


def draw_runs(runs: Runs, stem: Path) -> None:
    """Write the file of a figure: the mean ratios over runs with their intervals, a panel each comparison.

    Raises:
        UserError: the runs have no ratio in common.
    """
    found = [item for item in ratios(runs) if None not in item[3]]
    if not found:
        raise UserError(f"{', '.join(runs)} have no ratio in common; name runs of the same models and steps.")
    labels, steps = list(dict.fromkeys(label for label, *_ in found)), sorted({steps for _, _, steps, _ in found})
    compared = {line["label"]: line for line in comparisons(next(iter(runs.values())))}
    of = {label: "student / teacher" if compared[label]["base"] == TEACHER else "IMDM / MDLM" for label in labels}
    colours = dict(zip(WHERE, (GREY, COLOURS["imdm"]), strict=True))
    with panels(stem, 1, len(labels), (2.3 * len(labels), 2.7), sharey=True) as places:
        for axes, label in zip(places[0], labels, strict=True):
            axes.axhline(1, color=INK, linewidth=0.8)
            for shift, (where, colour) in zip((-0.12, 0.12), colours.items(), strict=True):
                of_panel = [(n, filter(None, values)) for name, at, n, values in found if (name, at) == (label, where)]
                if not of_panel:  # at equal entropy, where that was not measured
                    continue
                means = [(steps.index(n) + shift, *mean_ratio(list(values))) for n, values in of_panel]
                x, mean, low, high = map(np.array, zip(*means))
                axes.errorbar(x, mean, yerr=[mean - low, high - mean], fmt="o", color=colour, capsize=2.2, label=where)
            axes.set(title=f"{label}\n{of[label]}", xlabel="sampling steps", yscale="log", xlim=(-0.5, len(steps) - 0.5))
            axes.set_xticks(range(len(steps)), map(str, steps))
        bottom, top = places[0][0].get_ylim()
        ticks = [tick for tick in (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.2, 1.5, 2.0) if bottom < tick < top]
        places[0][0].set_yticks(ticks, map(str, ticks))
        places[0][0].minorticks_off()
        places[0][0].set_ylabel("ratio of Gen-PPL")
