"""Train a network further by the NELBO (paper Eq. 14, Tab. 13): the teacher's weights, as MDLM or as IMDM.

Writes model.safetensors (online and EMA weights), validation.json and train_log.csv, as pretrain does.

Example: python stages/finetune.py --data data/pydocs-carry-32/dataset.json
    --init results/tiny/models/imdm/teacher/model.safetensors --out results/tiny/models/imdm/finetune
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("finetune", "pretrain.eval_batches", "pretrain.eval_batch_size", "seeds.train")


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack")
    parser.input("--init", help="model.safetensors whose EMA weights the training starts from")


def run(job: Job) -> None:
    from imdm.data.blocks import Dataset
    from imdm.diffusion.counter import training_seed
    from imdm.network.checkpoint import load_network, save_network
    from imdm.stage.artifact import write_json
    from imdm.stage.device import prepare_frozen
    from imdm.training.loop import fit
    from imdm.training.pretrain import Pretraining, validate

    params, settings = job.params, job.params.finetune
    data = Dataset.open(job.args.data)
    network = load_network(job.args.init, "ema")
    data.check_vocabulary(network.config, job.args.init)
    seed = training_seed(params.seeds.train, network.config.replicate)
    training = Pretraining(network, settings, seed, data.split("train"))
    job.metrics |= fit(training, job.dir, params.runtime, job.progress)
    path = job.dir / "model.safetensors"
    save_network(path, training.network, training.ema)

    network = prepare_frozen(load_network(path, "ema"), params.runtime)
    summary = validate(network, data, params.pretrain, seed)
    write_json(job.dir / "validation.json", summary)
    job.metrics |= summary


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
