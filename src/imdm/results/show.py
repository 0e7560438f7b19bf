"""Prints a run's main table and where its report is, the tables of its synthetic task alone, or several runs side by side.

Examples: imdm show results/tiny
          imdm show results/tiny results/seed1
          imdm show results/tiny/synthetic/synthetic.json
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from imdm.errors import UserError
from imdm.results.collect import synthetic
from imdm.results.frame import RATIO, first_seed, frame_of, lines, read_comparison, select, side
from imdm.results.summary import summary, verdict
from imdm.results.table import MARKS, digits
from imdm.results.tables import LANGUAGE, SYNTHETIC, WHERE, comparisons, table04
from imdm.results.view import NONE, Cell, View, plain

_SHOWN = {head: head for head in ("Recipe", "Steps", "MDLM", "IMDM", "IMDM / MDLM", "Better", "ratio, seeds")}
_SHOWN |= {"ratio, equal entropy": "equal entropy", "paper ratio": "paper"}


def main(argv: list[str] | None = None) -> int:
    """Print the tables of a run; 0, or 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="imdm show", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="results/RUN or tables.csv of one or more runs, or a synthetic.json")
    paths = parser.parse_args(argv).runs
    try:
        print(text_of(paths))
    except UserError as error:
        print(f"show: {error}", file=sys.stderr)
        return 2
    return 0


def text_of(paths: list[Path]) -> str:
    """What `main` prints.

    Raises:
        UserError: a file is missing or of another kind, or two runs have one name.
    """
    if len(paths) == 1 and paths[0].suffix == ".json":
        frame = frame_of(synthetic(paths[0]))
        return "\n".join(_whole(table(frame)) for table in SYNTHETIC)
    frames: dict[str, pd.DataFrame] = {}
    for path in paths:
        table = path if path.suffix == ".csv" else path / "tables/tables.csv"
        run = table.resolve().parent.parent
        if run.name in frames:
            raise UserError(f"two of the tables are of runs called {run.name}; name each run once.")
        frames[run.name] = read_comparison(table)
    if len(frames) > 1:
        return _whole(runs_view(frames))
    report = run / "report.html"
    where = f"Report: {report}" if report.exists() else f"{report} is not made yet; run `snakemake {report}`."
    return f"{main_text(frames[run.name])}\n\n{where}"


def main_text(frame: pd.DataFrame) -> str:
    """Table 4 without its small print, and what the run shows, for a terminal of 80 to 120 columns."""
    head = "Gen-PPL (lower is better) with 95% intervals; Better: the ratio's paired interval leaves out 1; at equal entropy: the ratio"
    known = len(select(frame, kind="example")) > 0
    parts = [*(_whole(table(frame)) for table in LANGUAGE if known), head, "", plain(table04(frame), _SHOWN), ""]
    return "\n".join([*parts, *verdict(summary(frame))])


def _whole(view: View) -> str:
    return "\n".join([view.title, "", plain(view), "", view.caption, ""])


def mean_ratio(ratios: list[float]) -> tuple[float, float, float]:
    """Geometric mean of ratios that independent runs gave, with its 95% interval by Student's t; no interval of one run (NaN)."""
    logs = np.log(ratios)
    low, high = stats.t.interval(0.95, len(logs) - 1, logs.mean(), stats.sem(logs)) if len(logs) > 1 else (math.nan, math.nan)
    return tuple(map(float, np.exp([logs.mean(), low, high])))


def runs_view(runs: dict[str, pd.DataFrame]) -> View:
    """Gen-PPL over MDLM's (of a keyed student over its teacher's), as sampled and at the teacher's entropy, in each run and over all.

    Args:
        runs: frames of tables.csv by name; the lines are those of the first. Where a run has no ratio there is no mean.
    """
    firsts, body = [select(first_seed(frame), metric=RATIO) for frame in runs.values()], []
    for line in comparisons(next(iter(runs.values()))):
        for added, where in zip(("", ", equal entropy"), WHERE.values(), strict=True):
            found = [{ratio.steps: ratio.value for ratio in lines(select(first, model=line["ours"] or [], **where))} for first in firsts]
            for steps in found[0]:
                values = [of_run.get(steps) for of_run in found]
                cells = [Cell(NONE) if value is None else Cell(digits(value, RATIO), value) for value in values]
                mean = [Cell(NONE), Cell(NONE)] if None in values else _mean(values)
                body.append([Cell(f"{line['label']}{added}"), Cell(str(steps), steps), *cells, *mean])
    caption = (
        "Gen-PPL of IMDM over MDLM with the same recipe, of a keyed student over its teacher. Equal entropy: both at their teacher's. "
        "Mean: geometric, with Student's t interval over runs. It covers all that differs between runs, training too; a run's own "
        f"intervals don't. {NONE}: an entropy out of reach, or no such model in a run."
    )
    return View("runs", "Runs side by side", caption, ["Recipe", "Steps", *runs, "mean", "95% interval"], body)


def _mean(ratios: list[float]) -> list[Cell]:
    mean, low, high = mean_ratio(ratios)
    interval = NONE if math.isnan(low) else f"[{digits(low, RATIO)}, {digits(high, RATIO)}]"
    return [Cell(digits(mean, RATIO), mean), Cell(interval, None, MARKS[side(low, high)])]


if __name__ == "__main__":
    sys.exit(main())
