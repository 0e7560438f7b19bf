"""Keyed distillation: the student learns in one step what several teacher steps do, from the noise that they draw with.

The tokens of the teacher's trajectories are read from the mask keys, which are fresh in every training step; their order is fixed.
The student is sampled from its noise too: its checkpoint says so, and every later stage follows.

Example: python stages/keyed.py --data data/pydocs/dataset.json
    --teacher results/tiny/models/imdm-gumbel/teacher/model.safetensors --out results/tiny/models/imdm-gumbel/keyed
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("keyed", "seeds.train")


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack")
    parser.input("--teacher", help="model.safetensors of initialize, or of the last SDTT round; it also gives the first weights")


def run(job: Job) -> None:
    from imdm.data.blocks import Dataset
    from imdm.diffusion.counter import training_seed
    from imdm.distill.keyed import KeyedTraining, keyed_student
    from imdm.network.checkpoint import load_network, save_network
    from imdm.training.loop import fit

    data = Dataset.open(job.args.data)
    teacher = load_network(job.args.teacher, "online")
    data.check_vocabulary(teacher.config, job.args.teacher)
    seed = training_seed(job.params.seeds.train, teacher.config.replicate)
    training = KeyedTraining(keyed_student(teacher), teacher, job.params.keyed, seed, data.split("train"))
    job.metrics |= fit(training, job.dir, job.params.runtime, job.progress)
    save_network(job.dir / "model.safetensors", training.network, training.ema)


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
