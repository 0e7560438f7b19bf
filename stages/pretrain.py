"""Pretrain the teacher: an MDLM from scratch, by the NELBO (paper Eq. 14).

Writes model.safetensors (online and EMA weights), teacher.json (validation perplexity beside the unigram
perplexity of the same split) and train_log.csv. An interrupted run continues from its last checkpoint.

Example: python stages/pretrain.py --data data/pydocs/dataset.json --out results/tiny/teacher
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.job import Job, StageParser, run_stage


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack")


def run(job: Job) -> None:
    import torch

    from imdm.artifact import write_json
    from imdm.data.blocks import Dataset, unigram_perplexity
    from imdm.diffusion.counter import root_seed
    from imdm.models.checkpoint import load_network, save_network
    from imdm.models.config import NetworkConfig
    from imdm.models.dit import Network
    from imdm.runtime import setup
    from imdm.training.loop import fit
    from imdm.training.pretrain import Pretraining, validation_nelbo

    params, data = job.params, Dataset.open(job.args.data)
    device, body_dtype = setup(params.runtime)
    config = NetworkConfig(
        **params.network.model_dump(),
        mask="single",
        vocab_size=data.vocab_size,
        mask_id=data.mask_id,
        seq_len=data.seq_len,
        tokenizer_sha256=data.tokenizer_sha256,
    )
    torch.manual_seed(root_seed(params.seeds.train, "weights"))
    training = Pretraining(Network(config), params.pretrain, params.seeds.train, data.split("train"))
    fit(job, training, params.pretrain.batch_size * data.seq_len)
    path = job.dir / "model.safetensors"
    save_network(path, training.network, training.ema)

    network = load_network(path, "ema", body_dtype).to(device).eval()
    nelbo = validation_nelbo(network, data.split("valid"), params.pretrain.eval_batches, params.pretrain.batch_size, params.seeds.train)
    half = 1.96 * nelbo.std() / len(nelbo) ** 0.5
    summary = {
        "valid_perplexity": nelbo.mean().exp().item(),
        "low": (nelbo.mean() - half).exp().item(),
        "high": (nelbo.mean() + half).exp().item(),
        "unigram_perplexity": unigram_perplexity(data.split("train"), data.split("valid"), data.vocab_size),
        "parameters": sum(p.numel() for p in network.parameters()),
    }
    write_json(job.dir / "teacher.json", summary)
    job.metrics |= summary


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, arguments, run))
