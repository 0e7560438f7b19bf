"""Write report.html: summary, tables, figures, samples, timings and parameters in one file that needs no other.

The paper's other tables and figures are shown as far as stages/exhibit.py has made them. Times, memory and parameters
come from the meta.json files below the folder that holds --tables.

Example: python stages/report.py --data data/pydocs-carry-32/dataset.json --tables results/tiny/tables --figures results/tiny/figures
         --samples results/tiny/samples --out results/tiny/report.html
"""

import sys
from pathlib import Path

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("run",)


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json")
    parser.input("--tables", help="folder of tabulate")
    parser.input("--figures", help="folder of plot")
    parser.input("--samples", help="folder with teacher/samples.safetensors and VARIANT/RECIPE/samples.safetensors")


def run(job: Job) -> None:
    from imdm.report.html import render

    folders = (Path(getattr(job.args, name)) for name in ("data", "tables", "figures", "samples"))
    page = render(*folders, run=job.params.run, params_file=job.args.params, sets=job.args.set)
    (job.dir / Path(job.args.out).name).write_text(page, encoding="utf-8")
    print(f"{job.args.out}: {len(page.encode()) / 1e6:.2f} MB")


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
