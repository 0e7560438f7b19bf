"""Complete prompts at every step count: the first tokens of held-out blocks (paper Sec. 5.3, Tab. 7 and 10).

Whole blocks are generated around each prompt, which stays as it is. Completion j of prompt i has the same draws
for every model and step count.

Example: python stages/complete.py --data data/pydocs-carry-32/dataset.json
    --model results/tiny/models/imdm/redi/model.safetensors --out results/tiny/conditional/samples/imdm/redi
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("sampling", "conditional", "seeds.sampling")


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack, where the prompts are from")
    parser.input("--model", help="model.safetensors; its EMA weights are used")
    parser.add_argument("--shard", help="i/n: the i-th of n parts of the rows; stages/merge.py joins them")


def run(job: Job) -> None:
    from imdm.data.blocks import Dataset
    from imdm.sampling.generate import Sampler, sample_steps
    from imdm.sampling.prompts import choose_prompts

    params, settings = job.params, job.params.sampling
    data = Dataset.open(job.args.data)
    prompts = choose_prompts(data, params.conditional, params.seeds.sampling)
    sampler = Sampler.load(job.args.model, params.runtime, settings, params.seeds.sampling, prompts)
    data.check_vocabulary(sampler.network.config, job.args.model)
    temperatures = dict.fromkeys(settings.steps, settings.temperature)
    job.metrics |= sample_steps(
        sampler, job.dir, prompts.rows, temperatures, "conditional", job.args.shard, job.progress, conditional=prompts.about()
    )


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
