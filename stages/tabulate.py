"""Write every table: tidy rows in tables.csv, and Tables 1, 2, 4 and 5 as CSV, Markdown and LaTeX.

Needs the scores of the teacher and of every model that compare declares; those of compare.also are taken where they are there.

Example: python stages/tabulate.py --scores results/tiny/scores --judge results/tiny/judge/judge.json
         --teacher results/tiny/teacher/teacher.json --synthetic results/tiny/synthetic/synthetic.json --out results/tiny/tables
"""

import sys
from pathlib import Path

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.job import Job, StageParser, run_stage


def arguments(parser: StageParser) -> None:
    parser.input("--scores", help="folder with teacher/scores.json and VARIANT/RECIPE/scores.json")
    parser.input("--judge", help="judge.json of train_judge")
    parser.input("--teacher", help="teacher.json of pretrain")
    parser.input("--synthetic", help="synthetic.json")


def run(job: Job) -> None:
    from imdm.report.render import write_tables
    from imdm.report.tables import build_rows

    rows = build_rows(*(Path(getattr(job.args, name)) for name in ("scores", "judge", "teacher", "synthetic")), job.params)
    write_tables(job.dir, rows)
    job.metrics["rows"] = len(rows)


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, arguments, run))
