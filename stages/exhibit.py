"""Make one table, figure or page of samples that stands alone: of the paper, ours beside its numbers, or beyond it.

Which one follows from --out. Tables (table03, table06 to table14, frontier, scoreboard, copies, pairs,
factorization) are written as .csv, .json, .md and .tex; figures (figure03, figure05, frontier, factorization) as .png and .svg; pages
(figure04, figure06 to figure13) as .html. `paper` in params.yaml names the models that stand for the paper's.

Example: python stages/exhibit.py --data data/pydocs-carry-32/dataset.json --results results/tiny
         --out results/tiny/tables/table06.csv
"""

import sys
from pathlib import Path

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = (
    "run",
    "compare",
    "external",
    "paper",
    "finetune.steps",
    "variants",
    "mask",
    "noise_dim",
    "noise_dist",
    "noise_scale",
    "finite_masks",
)


def arguments(parser: StageParser) -> None:
    parser.writes_file("file of the exhibit: tables/NAME.csv, figures/NAME.png or figures/NAME.html below results/RUN")
    parser.input("--data", help="dataset.json of tokenize_pack")
    parser.add_argument("--results", required=True, help="folder results/RUN")
    parser.inputs_by(inputs)


def inputs(params, args) -> list[Path]:
    from imdm.results.plan import files

    out = Path(args.out)
    return [Path(args.results) / file for file in files(params, f"{out.parent.name}/{out.name}")]


def run(job: Job) -> None:
    from imdm.data.blocks import Dataset
    from imdm.results.make import write_exhibit

    out = Path(job.args.out)
    write_exhibit(f"{out.parent.name}/{out.name}", Path(job.args.results), job.params, Dataset.open(job.args.data), job.dir)


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
