"""Pretrain a network from scratch by the NELBO (paper Eq. 14): the teacher, an MDLM, or a variant (Tab. 12).

Writes model.safetensors (online and EMA weights), validation.json (validation perplexity beside the unigram
perplexity of the same split) and train_log.csv. An interrupted run continues from its last checkpoint.

Example: python stages/pretrain.py --data data/pydocs-carry-32/dataset.json --out results/tiny/models/teacher
    python stages/pretrain.py --data data/pydocs-carry-32/dataset.json --variant imdm --out results/tiny/models/imdm/scratch
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("mask_settings", "network", "pretrain", "seeds.train")


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack")
    parser.add_argument("--variant", help="name of a variant in params.yaml; without it, the single mask of the teacher")


def run(job: Job) -> None:
    import torch

    from imdm.data.blocks import Dataset
    from imdm.diffusion.counter import root_seed, training_seed
    from imdm.network.checkpoint import load_network, save_network
    from imdm.network.config import NetworkConfig
    from imdm.network.network import Network
    from imdm.params import MaskSettings, parse_variant
    from imdm.stage.artifact import write_json
    from imdm.stage.device import prepare_frozen
    from imdm.training.loop import fit
    from imdm.training.pretrain import Pretraining, validate

    params, settings = job.params, job.params.pretrain
    _, replicate = parse_variant(job.args.variant or "")
    seed = training_seed(params.seeds.train, replicate)
    data = Dataset.open(job.args.data)
    mask = params.mask_settings(job.args.variant) if job.args.variant else MaskSettings(mask="single")
    config = NetworkConfig(
        **params.network.model_dump(),
        **mask.model_dump(),
        vocab_size=data.vocab_size,
        mask_id=data.mask_id,
        seq_len=data.seq_len,
        tokenizer_sha256=data.tokenizer_sha256,
        replicate=replicate,
    )
    torch.manual_seed(root_seed(seed, "weights"))
    training = Pretraining(Network(config), settings, seed, data.split("train"))
    job.metrics |= fit(training, job.dir, params.runtime, job.progress)
    path = job.dir / "model.safetensors"
    save_network(path, training.network, training.ema)

    network = prepare_frozen(load_network(path, "ema"), params.runtime)
    summary = validate(network, data, settings, seed)
    write_json(job.dir / "validation.json", summary)
    job.metrics |= summary


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
