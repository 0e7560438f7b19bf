"""Prints a run's main table and where its report is, the tables of its synthetic task alone, or several runs side by side.

Examples: python -m imdm.results.show results/tiny
          python -m imdm.results.show results/tiny results/seed1
          python -m imdm.results.show results/tiny/synthetic/synthetic.json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

from imdm.errors import UserError
from imdm.results.collect import synthetic
from imdm.results.exhibits.main import SYNTHETIC, table04
from imdm.results.frame import frame_of, one, read_frame
from imdm.results.layout import make_view
from imdm.results.runs import runs_view
from imdm.results.seeds import with_seed_means
from imdm.results.verdict import verdict
from imdm.results.view import View
from imdm.results.write import plain

_SHOWN = {head: head for head in ("Recipe", "Steps", "MDLM", "IMDM", "IMDM / MDLM", "Better", "ratio, seeds")}
_SHOWN |= {"ratio, equal entropy": "equal entropy", "paper ratio": "paper"}


def main(argv: list[str] | None = None) -> int:
    """Print the tables of a run; 0, or 2 for a user's mistake."""
    parser = argparse.ArgumentParser(
        prog="python -m imdm.results.show", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
        return "\n".join(_whole(make_view(table(frame), frame)) for table in SYNTHETIC)
    tables = [path if path.suffix == ".csv" else path / "tables/tables.csv" for path in paths]
    names = [path.resolve().parent.parent.name for path in tables]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"two of the tables are of runs called {twice}; name each run once.")
    frames = {name: read_frame(path) for name, path in zip(names, tables, strict=True)}
    if len(frames) > 1:
        return _whole(runs_view(frames))
    report = tables[0].resolve().parent.parent / "report.html"
    where = f"Report: {report}" if report.exists() else f"{report} is not made yet; run `snakemake {report}`."
    return f"{main_text(frames[names[0]])}\n\n{where}"


def main_text(frame: pd.DataFrame) -> str:
    """Table 4 without its small print, and what the run shows, for a terminal of 80 to 120 columns."""
    view = make_view(table04(frame), with_seed_means(frame))
    judge = one(frame, kind="judge", metric="val_ppl")
    head = "Gen-PPL (lower is better) with 95% intervals; Better: the ratio's paired interval leaves out 1; at equal entropy: the ratio"
    parts = [head, "", plain(view, _SHOWN), "", verdict(frame)]
    return "\n".join(parts + ([f"Judge {judge.setting!r}: own held-out perplexity {judge.value:.2f}."] if judge else []))


def _whole(view: View) -> str:
    return "\n".join([view.title, "", plain(view), "", view.caption, ""])


if __name__ == "__main__":
    sys.exit(main())
