"""One round of self-distillation through time: the student learns two of its teacher's steps in one.

The round's teacher also gives the student its first weights. From round 2 on these are the online weights of the
round before, as in SDTT; its moving average is what sampling and couplings use. With sdtt.carry the moving average, the
optimizer and the schedule go on too, for which each round but the last keeps the optimizer's state in its file.

Example: python stages/sdtt.py --data data/pydocs/dataset.json --round 1
    --teacher results/tiny/models/imdm/teacher/model.safetensors --out results/tiny/models/imdm/sdtt1
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("sdtt", "seeds.train")


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack")
    parser.input("--teacher", help="model.safetensors of the round before, or of initialize for round 1")
    parser.add_argument("--round", type=int, required=True, help="number of the round, from 1")


def run(job: Job) -> None:
    from imdm.data.blocks import Dataset
    from imdm.diffusion.counter import training_seed
    from imdm.distill.sdtt import SdttTraining
    from imdm.errors import UserError
    from imdm.network.checkpoint import load_network, save_network
    from imdm.training.loop import fit

    settings, number = job.params.sdtt, job.args.round
    if not 1 <= number <= settings.rounds:
        raise UserError(f"--round {number} must be between 1 and {settings.rounds}, the rounds that sdtt.rounds gives.")
    data = Dataset.open(job.args.data)
    teacher, student = (load_network(job.args.teacher, "online") for _ in range(2))
    data.check_vocabulary(student.config, job.args.teacher)
    seed = training_seed(job.params.seeds.train, student.config.replicate)
    training = SdttTraining(student, teacher, settings, number, seed, data.split("train"))
    if settings.carry and number > 1:
        training.go_on(job.args.teacher)
    job.metrics |= fit(training, job.dir, job.params.runtime, job.progress)
    kept = training.optimizer_state() if settings.leaves_optimizer(number) else None
    save_network(job.dir / "model.safetensors", training.network, training.ema, kept)


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
