"""Prints a run's main table and where its report is, the tables of its synthetic task alone, or several runs side by side.

Examples: imdm show results/tiny
          imdm show results/tiny results/seed1
          imdm show results/tiny results/seed1 --metric mauve
          imdm show results/tiny/synthetic/synthetic.json
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path

import pandas as pd

from imdm.errors import UserError, exit_code
from imdm.results.frame import frame_of, read_comparison, select
from imdm.results.records import synthetic
from imdm.results.runs import draw_runs, metric_view, runs_view
from imdm.results.summary import summary, verdict
from imdm.results.tables import LANGUAGE, SYNTHETIC, brief
from imdm.results.view import View, plain
from imdm.writing import whole

_WIDTH = 100  # columns


def main(argv: list[str] | None = None) -> int:
    """Print the tables of a run; 0, or 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="imdm show", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="results/RUN or tables.csv of one or more runs, or a synthetic.json")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="of several runs: draw them too, as .png or .svg")
    parser.add_argument("--metric", help="of several runs: not the ratios of Gen-PPL, but this metric, such as mauve")
    args = parser.parse_args(argv)
    return exit_code("show", lambda: print(text_of(args.runs, args.figure, args.metric)))


def text_of(paths: list[Path], figure: Path | None = None, metric: str | None = None) -> str:
    """What `main` prints; it draws several runs where `figure` says.

    Raises:
        UserError: a file is missing or of another kind, two runs have one name, or none has the metric.
    """
    if len(paths) == 1 and paths[0].suffix == ".json":
        frame = frame_of(synthetic(paths[0]))
        return "\n".join(_whole(table(frame)) for table in SYNTHETIC)
    if figure and figure.suffix not in (".png", ".svg"):
        raise UserError(f"--figure {figure} must end in .png or .svg.")
    frames: dict[str, pd.DataFrame] = {}
    for path in paths:
        table = path if path.suffix == ".csv" else path / "tables/tables.csv"
        run = table.resolve().parent.parent
        if run.name in frames:
            raise UserError(f"two of the tables are of runs called {run.name}; name each run once.")
        if not table.exists():
            names = sorted(at.parents[1].name for at in run.parent.glob("*/tables/tables.csv"))
            raise UserError(f"{table} does not exist; the runs in {run.parent} are {', '.join(names) or 'none'}.")
        frames[run.name] = read_comparison(table)
    if len(frames) > 1:
        if figure:
            with whole(figure) as beside:
                draw_runs(frames, beside)
        return _whole(metric_view(frames, metric) if metric else runs_view(frames), groups_above=True)
    report = run / "report.html"
    where = f"Report: {report}" if report.exists() else f"Tables: {report.parent / 'tables'}; no report is there."
    return f"{main_text(frames[run.name])}\n\n{where}"


def main_text(frame: pd.DataFrame) -> str:
    """Table 4 without its small print, and what the run shows, for a terminal of 100 columns."""
    head = (
        "Gen-PPL (lower is better), and ratios with 95% intervals. Better: the ratio's paired interval leaves out 1. "
        "Equal entropy: the ratio where both models have their teacher's."
    )
    known = len(select(frame, kind="example")) > 0
    tables = [_whole(table(frame)) for table in LANGUAGE if known]
    said = [textwrap.fill(sentence, _WIDTH) for sentence in (head, *verdict(summary(frame)))]
    return "\n".join([*tables, said[0], "", plain(brief(frame), groups_above=True), "", *said[1:]])


def _whole(view: View, groups_above: bool = False) -> str:
    return "\n".join([view.title, "", plain(view, groups_above), "", view.caption, ""])


if __name__ == "__main__":
    sys.exit(main())
