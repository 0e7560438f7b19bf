"""Write every table: tidy rows in tables.csv, and Tables 1, 2, 4 and 5, the frontier, the audit, the dictionary task, the
Markov chain and the factorization error as CSV, Markdown and LaTeX.

Needs the scores, frontiers and audits of the teacher and of every model that compare declares; those of compare.also are taken
where they are there.

Example: python stages/tabulate.py --scores results/tiny/scores --frontier results/tiny/frontier --audits results/tiny/audit
         --judge results/tiny/judge/judge.json --reference results/tiny/reference/reference.json
         --validation results/tiny/teacher/validation.json --synthetic results/tiny/synthetic/synthetic.json
         --dictionary results/tiny/dictionary/dictionary.csv --chain results/tiny/chain/chain.csv
         --factorization results/tiny/factorization --out results/tiny/tables/tables.csv
"""

import sys
from pathlib import Path

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("run", "compare")


def arguments(parser: StageParser) -> None:
    parser.input("--scores", help="folder with teacher/scores.json and VARIANT/RECIPE/scores.json")
    parser.input("--frontier", help="folder with teacher/frontier.json and VARIANT/RECIPE/frontier.json")
    parser.input("--audits", help="folder with teacher/audit.json and VARIANT/RECIPE/audit.json")
    parser.input("--judge", help="judge.json of train_judge or load_judge")
    parser.input("--reference", help="reference.json: real text under the judge")
    parser.input("--validation", help="validation.json of the teacher")
    parser.input("--synthetic", help="synthetic.json")
    parser.input("--dictionary", help="dictionary.csv")
    parser.input("--chain", help="chain.csv")
    parser.input("--factorization", help="folder with teacher/factorization.json and VARIANT/RECIPE/factorization.json")


def run(job: Job) -> None:
    from imdm.report.chain import chain_rows
    from imdm.report.dictionary import dictionary_rows
    from imdm.report.factorization import factorization_rows
    from imdm.report.render import write_tables
    from imdm.report.tables import build_rows

    args = job.args
    inputs = (args.scores, args.frontier, args.audits, args.judge, args.reference, args.validation, args.synthetic)
    rows = build_rows(*map(Path, inputs), job.params)
    rows += dictionary_rows(Path(job.args.dictionary)) + chain_rows(Path(job.args.chain))
    rows += factorization_rows(Path(job.args.factorization), job.params)
    write_tables(job.dir, rows)
    job.metrics["rows"] = len(rows)


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
