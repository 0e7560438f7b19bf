"""Draw the figures, each as PNG and SVG: Figure 2, Gen-PPL against entropy, the factorization error, the dictionary task, the
Markov chain, and the training curves where --logs is given.

Example: python stages/plot.py --tables results/tiny/tables/tables.csv --dictionary results/tiny/dictionary/dictionary.csv
         --logs results/tiny/models --out results/tiny/figures/figure02.png
"""

import sys
from pathlib import Path

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("run",)


def arguments(parser: StageParser) -> None:
    parser.input("--tables", help="tables.csv of tabulate")
    parser.input("--dictionary", help="dictionary.csv")
    # Not an input of the harness, which would read all weights in it; the logs alone are checked.
    parser.add_argument("--logs", help="folder RUN/models; draws its train_log.csv files, and the teacher's and judge's beside it")


def run(job: Job) -> None:
    from imdm.report.figures import draw_all
    from imdm.report.rows import read_rows
    from imdm.report.training import find_logs

    logs = find_logs(Path(job.args.logs)) if job.args.logs else {}
    draw_all(read_rows(job.args.tables), Path(job.args.dictionary), logs, job.dir)
    job.metrics["training_logs"] = len(logs)


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
