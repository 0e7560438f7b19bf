"""Use the corpus's language as the judge: exact likelihoods in the place of a causal language model's.

Writes judge.json, which holds the language: its entropy, and of the transitions of each of factorization.steps the data's total
correlation, beside Theorem 4.1's bound on that of one step. A log without rows is beside it.

Example: python stages/exact_judge.py --params presets/language.yaml --data data/language-document-32/dataset.json
    --out results/language/judge
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("corpus", "factorization.steps", "seeds.scoring")
TEXTS = 1000  # over which a total correlation of several steps is a mean


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack")


def run(job: Job) -> None:
    import numpy as np

    from imdm.data.blocks import Dataset
    from imdm.errors import UserError
    from imdm.languages.language import total_correlation
    from imdm.scoring.exact import ExactJudge
    from imdm.stage.artifact import write_json
    from imdm.training.checkpoints import LOG_COLUMNS

    params = job.params
    if params.corpus.name != "language":
        raise UserError("corpus.name is not language; judge other text with train_judge or load_judge.")
    judge, rows = ExactJudge(params.corpus, params.corpus.seq_len), []
    judge.check_vocabulary(Dataset.open(job.args.data), False)
    for steps in params.factorization.steps:
        value, error = total_correlation(judge.language, steps, TEXTS, params.seeds.scoring)
        ends = {"low": value - 1.96 * error, "high": value + 1.96 * error}
        rows.append({"steps": steps, "metric": "total_correlation_nats", "value": value} | ends)
    bound = float(judge.pairs[1][~np.eye(len(judge.pairs[1]), dtype=bool)].max())
    rows.append({"steps": 1, "metric": "theorem_bound_nats"} | dict.fromkeys(("value", "low", "high"), bound))
    write_json(job.dir / "judge.json", judge.describe() | {"rows": rows})
    (job.dir / "train_log.csv").write_text(",".join(LOG_COLUMNS) + "\n")


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
