"""Sample a model at every step count, in one process.

The draws of sample i are the same for every model and step count (common random numbers), so that differences
between models have little noise. N steps make at most N network calls a row; the last unmasks all.

Example: python stages/sample.py --model results/tiny/models/imdm/redi/model.safetensors --out results/tiny/samples/imdm/redi
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("sampling", "seeds.sampling")


def arguments(parser: StageParser) -> None:
    parser.input("--model", help="model.safetensors; its EMA weights are used")
    parser.add_argument("--steps", type=int, help="sample at so many steps alone, and not at sampling.steps")
    parser.add_argument("--unmasking", choices=("independent", "even", "dilated"), help="instead of sampling.unmasking")
    parser.add_argument("--shard", help="i/n: the i-th of n parts of the rows; stages/merge.py joins them")


def run(job: Job) -> None:
    from imdm.sampling.generate import Sampler, sample_steps

    settings = job.params.sampling
    if job.args.unmasking:
        settings = settings.model_copy(update={"unmasking": job.args.unmasking})
    temperatures = dict.fromkeys([job.args.steps] if job.args.steps else settings.steps, settings.temperature)
    sampler = Sampler.load(job.args.model, job.params.runtime, settings, job.params.seeds.sampling)
    job.metrics |= sample_steps(sampler, job.dir, settings.count, temperatures, "unconditional", job.args.shard, job.progress)


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
