"""Write the table of a run, tables.csv, and from it Tables 1, 2, 4 and 5, and the tables of the report.

Each is written as .csv, .json, .md and .tex. Needs the scores of the teacher and of every model that compare names, the judge, the
reference, the teacher's validation and the synthetic task.

Example: python stages/tabulate.py --results results/tiny --out results/tiny/tables/tables.csv
"""

import sys
from pathlib import Path

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("run", "compare", "external")


def arguments(parser: StageParser) -> None:
    parser.writes_file("tables.csv in the folder that all tables go to")
    parser.add_argument("--results", required=True, help="folder results/RUN")
    parser.inputs_by(inputs)


def inputs(params, args) -> list[Path]:
    from imdm.results.plan import main_files

    return [Path(args.results) / file for file in main_files(params)]


def run(job: Job) -> None:
    from imdm.results.make import write_main

    job.metrics["numbers"] = len(write_main(Path(job.args.results), job.params, job.dir))


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
