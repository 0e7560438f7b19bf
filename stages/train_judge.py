"""Train the judge: a small GPT-2 on its own part of the corpus, for runs without GPT-2 Large.

Writes a folder that transformers loads, and judge.json: its perplexity on held-out text, beside every table.

Example: python stages/train_judge.py --data data/pydocs-carry-32/dataset.json --out results/tiny/judge
"""

import shutil
import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("judge", "seeds.train")


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack")


def run(job: Job) -> None:
    import torch
    from transformers.utils import logging

    from imdm.data.blocks import Dataset, unigram_perplexity
    from imdm.diffusion.counter import root_seed
    from imdm.scoring.judge import open_trained
    from imdm.scoring.reference import held_out_perplexity
    from imdm.stage.artifact import write_json
    from imdm.stage.device import setup
    from imdm.training.judge import JudgeTraining, build_judge
    from imdm.training.loop import fit

    settings, seed, data = job.params.judge, job.params.seeds.train, Dataset.open(job.args.data)
    torch.manual_seed(root_seed(seed, "judge"))
    model = build_judge(settings, data.vocab_size, data.seq_len, data.eos_id)
    training = JudgeTraining(model, settings, seed, data.split("judge"))
    job.metrics |= fit(training, job.dir, job.params.runtime, job.progress)
    training.ema.copy_to(model)
    logging.disable_progress_bar()
    model.save_pretrained(job.dir)
    (job.dir / "generation_config.json").unlink(missing_ok=True)
    shutil.copy(data.path.with_name("tokenizer.json"), job.dir / "tokenizer.json")

    device, _ = setup(job.params.runtime)
    judge = open_trained(job.dir, device)
    # the unigram's perplexity of the same targets as the judge's, which don't include end-of-text
    own, targets = (data.split(split)[:, 1:] for split in ("judge", "valid"))
    unigram = unigram_perplexity(own[own != data.eos_id], targets[targets != data.eos_id], data.vocab_size)
    perplexity = held_out_perplexity(judge, data, settings.batch_size, seed)
    summary = judge.describe() | perplexity | {"unigram_perplexity": unigram}
    write_json(job.dir / "judge.json", summary)
    job.metrics |= summary


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
