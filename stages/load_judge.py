"""Use a causal language model of transformers as the judge: judge.model, from the hub, a folder or a GGUF file.

Writes judge.json, which stands for it in every later stage: where it is, at which commit of the hub, and its
perplexity on held-out text in scoring.precision. The model itself stays where it is; a log without rows is beside it.

Example: python stages/load_judge.py --data data/openwebtext-per_batch-1024/dataset.json --out results/owt/judge
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("judge.model", "scoring.precision", "scoring.batch_size", "scoring.clean_up", "seeds.scoring")


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack")


def run(job: Job) -> None:
    from imdm.data.blocks import Dataset
    from imdm.errors import UserError
    from imdm.scoring.judge import open_judge
    from imdm.scoring.reference import held_out_perplexity
    from imdm.stage.artifact import write_json
    from imdm.stage.device import setup
    from imdm.training.checkpoints import LOG_COLUMNS

    params = job.params
    if params.judge.model is None:
        raise UserError("judge.model is empty; set it to the hub id, folder or GGUF file of a causal LM, such as gpt2-large.")
    device, _ = setup(params.runtime)
    judge = open_judge(params.judge.model, device, params.scoring.precision)
    data, settings = Dataset.open(job.args.data), params.scoring
    perplexity = held_out_perplexity(judge, data, settings.batch_size, params.seeds.scoring, True, settings.clean_up)
    write_json(job.dir / "judge.json", judge.describe() | perplexity)
    (job.dir / "train_log.csv").write_text(",".join(LOG_COLUMNS) + "\n")
    job.metrics |= perplexity


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
