"""Rectification: train a student on a teacher's couplings (paper Sec. 5.3, loss of Eq. 14 on the coupling).

Example: python stages/redi.py --couplings results/tiny/couplings/teacher/couplings.safetensors
    --init results/tiny/models/imdm/teacher/model.safetensors --out results/tiny/models/imdm/redi
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("redi", "seeds.train")


def arguments(parser: StageParser) -> None:
    parser.input("--couplings", help="couplings.safetensors of couple")
    parser.input("--init", help="model.safetensors whose EMA weights the student starts from")
    parser.add_argument("--variant", help="name from `variants` in params.yaml, where it replaces some of redi")


def run(job: Job) -> None:
    from imdm.diffusion.counter import training_seed
    from imdm.distill.couplings import load_couplings
    from imdm.distill.redi import RediTraining
    from imdm.network.checkpoint import load_network, save_network
    from imdm.training.loop import fit

    settings = job.params.redi_settings(job.args.variant) if job.args.variant else job.params.redi
    student = load_network(job.args.init, "ema")
    couplings = load_couplings(job.args.couplings, student.config)
    seed = training_seed(job.params.seeds.train, student.config.replicate)
    training = RediTraining(student, settings, seed, couplings)
    job.metrics |= fit(training, job.dir, job.params.runtime, job.progress)
    save_network(job.dir / "model.safetensors", training.network, training.ema)
    job.metrics["epochs"] = round(settings.steps * settings.batch_size / len(couplings), 2)


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
