"""One round of Di4C: distillation to a mixture over a latent, the paper's baseline.

Round 1 starts from an MDM (the teacher or an SDTT student), whose student gets a fresh latent token; in later
rounds teacher and student both start from the student of the round before. All of these are online weights, as in
the public code, whose authors also sample with them. Writes model.safetensors (online weights, with di4c.weights: ema the moving
average too) and train_log.csv.

Example: python stages/di4c.py --data data/pydocs-carry-32/dataset.json --round 1
    --teacher results/tiny/models/mdlm/sdtt3/model.safetensors --out results/tiny/models/mdlm/sdtt3-di4c1
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("di4c", "seeds.train")


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack")
    parser.input("--teacher", help="model.safetensors of initialize or sdtt for round 1, of the round before for later ones")
    parser.add_argument("--round", type=int, required=True, help="number of the round, from 1")


def run(job: Job) -> None:
    from imdm.data.blocks import Dataset
    from imdm.diffusion.counter import training_seed
    from imdm.distill.di4c import Di4cTraining, mixture_student
    from imdm.errors import UserError
    from imdm.network.checkpoint import load_network, save_network
    from imdm.training.loop import fit

    settings, number = job.params.di4c, job.args.round
    if not 1 <= number <= settings.rounds:
        raise UserError(f"--round {number} must be between 1 and {settings.rounds}, the rounds that di4c.rounds gives.")
    data = Dataset.open(job.args.data)
    teacher = load_network(job.args.teacher, "online")
    data.check_vocabulary(teacher.config, job.args.teacher)
    if (number == 1) != (teacher.config.latent_hidden is None):
        wanted = "an MDM, without a latent" if number == 1 else f"the Di4C student of round {number - 1}"
        raise UserError(f"--teacher {job.args.teacher} does not fit --round {number}; give {wanted}.")
    seed = training_seed(job.params.seeds.train, teacher.config.replicate)
    student = mixture_student(teacher, settings.latent_hidden, seed)
    training = Di4cTraining(student, teacher, settings, number, seed, data.split("train"))
    job.metrics |= fit(training, job.dir, job.params.runtime, job.progress)
    save_network(job.dir / "model.safetensors", training.network, training.ema if settings.weights == "ema" else None)


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
