"""Sample a model at the entropy of another: at each step count the temperature is searched, then sampled at (Tab. 9).

The draws are those of stage sample, for the trials too, so that entropy varies with the temperature alone. Where no
temperature between matching.low and matching.high will do, the nearer one is used, and the file says so.

Example: python stages/match_entropy.py --model results/tiny/models/imdm/redi/model.safetensors
    --target results/tiny/scores/mdlm/sdtt3/scores.json --out results/tiny/matched/samples/imdm/redi
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("sampling", "matching", "seeds.sampling")


def arguments(parser: StageParser) -> None:
    parser.input("--model", help="model.safetensors; its EMA weights are used")
    parser.input("--target", help="scores.json of the model whose entropy is to be met, at its step counts")


def run(job: Job) -> None:
    from functools import partial

    from imdm.sampling.generate import Sampler, sample_steps
    from imdm.sampling.matching import match_entropy, read_target
    from imdm.scoring.diversity import entropy

    params, settings = job.params, job.params.matching
    target, entropies = read_target(job.args.target)
    sampler = Sampler.load(job.args.model, params.runtime, params.sampling, params.seeds.sampling)

    def entropy_at(steps: int, temperature: float) -> float:
        samples, _ = sampler.draw_range(job.dir, range(settings.count), steps, temperature, job.progress)
        return float(entropy(samples["tokens"].numpy()).mean())

    matched = {}
    for steps, wanted in entropies.items():
        matched[steps] = match_entropy(partial(entropy_at, steps), wanted, settings.low, settings.high, settings.tolerance)
    about = {str(steps): {"target": one.target, "reached": one.reached, "bound": one.bound} for steps, one in matched.items()}
    temperatures = {steps: one.temperature for steps, one in matched.items()}
    matching = {"target": target, "steps": about}
    job.metrics |= sample_steps(sampler, job.dir, params.sampling.count, temperatures, "matched", progress=job.progress, matching=matching)
    job.metrics |= {f"temperature_{steps}": temperature for steps, temperature in temperatures.items()}


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
