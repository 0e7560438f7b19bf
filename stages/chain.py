"""The Markov chain task: which few-step student is nearest to a distribution that is known exactly.

For each seed of chain.seeds and each step count: exact NLL, bigram entropy and bigram KL of samples of the teacher, of the best
MDM that can exist (exact conditional marginals) and of the teacher's students, beside those of the data. chain.csv is tidy: one
row a number.

Example: python stages/chain.py --out results/tiny/chain
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("chain",)


def arguments(parser: StageParser) -> None:
    pass


def run(job: Job) -> None:
    import pandas as pd

    from imdm.languages.chain import COLUMNS, seed_records
    from imdm.stage.chunks import side_by_side
    from imdm.stage.device import setup

    settings = job.params.chain
    setup(job.params.runtime)
    parts = {str(seed): (settings, seed) for seed in settings.seeds}
    records = side_by_side(job.dir, parts, seed_records, settings.workers, "seed", job.progress)
    pd.DataFrame(records, columns=list(COLUMNS)).astype({"steps": "Int64"}).to_csv(job.dir / "chain.csv", index=False, float_format="%.8g")
    job.metrics["seeds"] = len(parts)


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
