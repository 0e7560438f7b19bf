"""Write a page of a run: verdict, tables, figures, samples, timings and parameters in one file that needs no other.

The verdict's numbers lie beside it as NAME.summary.json.

Everything on the page is checked to be of this run as the run now is. The main tables, the main figures and the samples must be; extras
and the paper's other tables and figures are shown where they are, else named with the command that makes them. A page called
extras.html or paper.html waits for these.

Example: python stages/report.py --data data/pydocs-carry-32/dataset.json --results results/tiny --out results/tiny/report.html
"""

import sys
from pathlib import Path

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("run", "compare", "external", "paper")


def arguments(parser: StageParser) -> None:
    parser.writes_file("page to write: report.html, extras.html or paper.html")
    parser.input("--data", help="dataset.json of tokenize_pack")
    parser.add_argument("--results", required=True, help="folder results/RUN")
    parser.inputs_by(inputs)


def inputs(params, args) -> list[Path]:
    from imdm.results.plan import exhibits
    from imdm.results.report import main_inputs

    return [Path(args.results) / file for file in (*main_inputs(params), *exhibits(params, Path(args.out).stem))]


def run(job: Job) -> None:
    from imdm.results.provenance import Settings
    from imdm.results.report import answer, render
    from imdm.stage.artifact import write_json

    args = job.args
    write_json(job.dir / f"{Path(args.out).stem}.summary.json", answer(Path(args.results)))
    page = render(job.params, Path(args.results), Path(args.data), Settings(args.params, args.set))
    (job.dir / Path(args.out).name).write_text(page, encoding="utf-8")
    print(f"{args.out}: {len(page.encode()) / 1e6:.2f} MB")


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
