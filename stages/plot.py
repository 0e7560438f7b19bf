"""Draw the main figures, each as PNG and SVG: Figure 2 and the training curves.

Example: python stages/plot.py --results results/tiny --out results/tiny/figures/figure02.png
"""

import sys
from pathlib import Path

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("run", "compare", "pretrain.warm_start")


def arguments(parser: StageParser) -> None:
    parser.writes_file("figure02.png in the folder that all figures go to")
    parser.add_argument("--results", required=True, help="folder results/RUN with tables/tables.csv and the train_log.csv of its trainings")
    parser.inputs_by(inputs)


def inputs(params, args) -> list[Path]:
    from imdm.results.plan import training_logs

    return [Path(args.results) / file for file in ("tables/tables.csv", *training_logs(params))]


def run(job: Job) -> None:
    from imdm.results.draw import draw, draw_training
    from imdm.results.frame import read_frame

    tables, *logs = inputs(job.params, job.args)
    folder = Path(job.args.results)
    named = {log.parent.relative_to(folder).as_posix().removeprefix("models/"): log for log in logs}
    draw("figure02", read_frame(tables), job.dir / "figure02")
    draw_training(named, job.dir / "training", job.params.pretrain.warm_start)


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
