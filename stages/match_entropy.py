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

    from imdm.sampling.generate import generate, open_rows, rows_in_chunks
    from imdm.sampling.matching import match_entropy, read_target
    from imdm.scoring.diversity import entropy

    settings = job.params.matching
    target, entropies = read_target(job.args.target)
    rows = open_rows(job, "sampling")

    def entropy_at(steps: int, temperature: float) -> float:
        found, _ = rows_in_chunks(job, rows, range(settings.count), steps, temperature, f"trial{steps}-{temperature!r}")
        return float(entropy(found["tokens"].numpy()).mean())

    found = {}
    for steps, wanted in entropies.items():
        found[steps] = match_entropy(partial(entropy_at, steps), wanted, settings.low, settings.high, settings.tolerance)
    matching = {str(steps): {"target": match.target, "reached": match.reached, "bound": match.bound} for steps, match in found.items()}
    temperatures = {steps: match.temperature for steps, match in found.items()}
    generate(job, rows, job.params.sampling.count, temperatures, "matched", matching={"target": target, "steps": matching})
    job.metrics |= {f"temperature_{steps}": temperature for steps, temperature in temperatures.items()}


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
