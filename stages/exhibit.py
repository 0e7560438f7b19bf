"""Make one table or figure of the paper from a run: ours beside the paper's numbers.

Tables 3 and 6 to 14 are written as .csv, .md and .tex; Figures 3 and 5 as .png and .svg; Figures 4 and 6 to 13,
which are samples to read, as .html and .txt. `paper` in params.yaml names the models that stand for the paper's.

Example: python stages/exhibit.py --exhibit table06 --data data/pydocs-carry-32/dataset.json --results results/tiny
         --out results/tiny/tables/table06.csv
"""

import sys
from pathlib import Path

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("run", "paper", "network", "finetune.steps", "variants", "mask", "noise_dim", "noise_dist", "noise_scale", "finite_masks")


def arguments(parser: StageParser) -> None:
    parser.add_argument("--exhibit", required=True, help="table03, table06 to table14, figure03 to figure13")
    parser.input("--data", help="dataset.json of tokenize_pack")
    # Not an input of the harness, which would read all that is in it; the files that the exhibit needs are checked.
    parser.add_argument("--results", required=True, help="folder results/RUN")


def run(job: Job) -> None:
    from imdm.data.blocks import Dataset
    from imdm.exhibits.make import make
    from imdm.exhibits.plan import needs
    from imdm.exhibits.results import check

    needed, results = needs(job.params, job.args.exhibit), Path(job.args.results)
    check(results, needed)
    make(job.args.exhibit, job.params, results, Dataset.open(job.args.data), job.dir)
    job.metrics["files_read"] = len(needed.files())


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
