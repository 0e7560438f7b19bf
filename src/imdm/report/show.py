"""Prints a run's main table and where its report is, the tables of its synthetic task alone, or several runs side by side.

Examples: python -m imdm.report.show results/tiny/tables/tables.csv
          python -m imdm.report.show results/tiny/tables/tables.csv results/seed1/tables/tables.csv
          python -m imdm.report.show results/tiny/synthetic/synthetic.json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from imdm.errors import UserError
from imdm.report.render import main_table_text, synthetic_text, view_text
from imdm.report.rows import read_rows
from imdm.report.runs import by_run, runs_view
from imdm.report.tables import read_json, synthetic_rows


def main(argv: list[str] | None = None) -> int:
    """Print the tables of a file; 0, or 2 for a user's mistake."""
    parser = argparse.ArgumentParser(
        prog="python -m imdm.report.show", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", type=Path, nargs="+", help="tables.csv of one or more runs, or synthetic.json")
    paths = parser.parse_args(argv).tables
    path = paths[0]
    try:
        if len(paths) > 1:
            print(view_text(runs_view(by_run(paths))))
            return 0
        if path.suffix == ".json":
            print(synthetic_text(synthetic_rows(read_json(path, ("rows",), "synthetic"))))
            return 0
        print(main_table_text(read_rows(path)))
    except UserError as error:
        print(f"show: {error}", file=sys.stderr)
        return 2
    report = path.resolve().parent.parent / "report.html"
    print(f"\nReport: {report}" if report.exists() else f"\n{report} is not made yet; run stages/report.py.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
