"""The dictionary task: K words of L letters, between {00, 11} and text, with every one-step probability exact.

For each cell of dictionary.cells and each seed: validity and coverage of samples at each step count, both readings of the
factorization error of one step, and the data's own total correlation with the bound of Theorem 4.1. dictionary.csv is tidy:
one row a number.

Example: python stages/dictionary.py --out results/tiny/dictionary
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("dictionary",)


def arguments(parser: StageParser) -> None:
    pass


def run(job: Job) -> None:
    import pandas as pd

    from imdm.languages.dictionary import COLUMNS, cell_records
    from imdm.stage.chunks import side_by_side
    from imdm.stage.device import setup

    settings = job.params.dictionary
    setup(job.params.runtime)
    parts = {f"{number:03d}-{seed}": (settings, cell, seed) for number, cell in enumerate(settings.cells) for seed in settings.seeds}
    records = side_by_side(job.dir, parts, cell_records, settings.workers, "cell", job.progress)
    table = pd.DataFrame(records, columns=list(COLUMNS)).astype(dict.fromkeys(["pairs", "noise_dim"], "Int64"))
    table.to_csv(job.dir / "dictionary.csv", index=False, float_format="%.8g")
    job.metrics["cells"] = len(parts)


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
