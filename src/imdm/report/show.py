"""Prints a run's main table and where its report is: python -m imdm.report.show results/tiny/tables/tables.csv"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from imdm.errors import UserError
from imdm.report.render import main_table_text
from imdm.report.rows import read_rows


def main(argv: list[str] | None = None) -> int:
    """Print the table of a tables.csv; 0, or 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="python -m imdm.report.show", description=__doc__)
    parser.add_argument("tables", type=Path, help="tables.csv of a run")
    path = parser.parse_args(argv).tables
    try:
        print(main_table_text(read_rows(path)))
    except UserError as error:
        print(f"show: {error}", file=sys.stderr)
        return 2
    report = path.resolve().parent.parent / "report.html"
    print(f"\nReport: {report}" if report.exists() else f"\n{report} is not made yet; run stages/report.py.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
