"""Judge real text once a run: what samples and completions are compared with.

Writes reference.json (Gen-PPL, entropy and diversity with 95% intervals) and reference.safetensors (each text, the
judge's features and values of it), for whole held-out blocks and for the beginnings of the prompts' own blocks. The latter
are left out where blocks are shorter than conditional.scored_tokens, or too few.

Example: python stages/reference.py --data data/pydocs-carry-32/dataset.json --judge results/tiny/judge/judge.json
    --out results/tiny/reference
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("scoring", "conditional", "sampling.count", "seeds.sampling", "seeds.scoring")


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack, where the text is from")
    parser.input("--judge", help="judge.json of train_judge or load_judge")


def run(job: Job) -> None:
    from functools import partial

    from imdm.data.blocks import Dataset
    from imdm.sampling.prompts import choose_prompts, obstacle
    from imdm.scoring.controls import reference_blocks
    from imdm.scoring.judge import load_judge
    from imdm.scoring.reference import common_settings, judge_blocks, save_reference
    from imdm.stage.device import setup

    params, settings = job.params, job.params.scoring
    device, _ = setup(params.runtime)
    data = Dataset.open(job.args.data)
    judge = load_judge(job.args.judge, device, settings.precision)
    judge.check_vocabulary(data, settings.retokenize)

    chosen = reference_blocks(data, settings.reference, params.sampling.count, params.seeds.scoring)
    judged = partial(judge_blocks, judge, data=data, scoring=settings, folder=job.dir, progress=job.progress)
    texts = {"unconditional": judged(chosen, split=settings.reference), "conditional": None}
    if obstacle(data, params.conditional) is None:
        prompts = choose_prompts(data, params.conditional, params.seeds.sampling)
        texts["conditional"] = judged(prompts.blocks, split=params.conditional.split, settings=prompts.about())
    common = common_settings(job.args.judge, judge, data, settings)
    save_reference(job.dir, judge, common, texts, settings.bootstrap, params.seeds.scoring)
    job.metrics["texts"] = sum(len(text.tokens) for text in texts.values() if text)


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
