"""Generate a teacher's couplings for ReDi (paper Sec. 5.3: perturbed rectification).

Each pair is a function of (seed, its index): batch size and shards change nothing, and an interrupted run goes on.

Example: python stages/couple.py --data data/pydocs-carry-32/dataset.json
    --teacher results/tiny/models/teacher/model.safetensors --out results/tiny/couplings/teacher
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("couplings", "seeds.couplings")


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack")
    parser.input("--teacher", help="model.safetensors of the teacher; its EMA weights are used")
    parser.add_argument("--shard", help="i/n: the i-th of n parts of the pairs; stages/merge.py joins them")


def run(job: Job) -> None:
    from functools import partial

    from imdm.data.blocks import Dataset
    from imdm.distill.couplings import make_couplings, save_couplings
    from imdm.network.checkpoint import load_network
    from imdm.stage.chunks import in_chunks
    from imdm.stage.device import precision_name, prepare_frozen
    from imdm.stage.shards import about_rows, shard_rows

    runtime, settings, seed = job.params.runtime, job.params.couplings, job.params.seeds.couplings
    data = Dataset.open(job.args.data)
    network = prepare_frozen(load_network(job.args.teacher, "ema"), runtime, cuda_graphs=runtime.cuda_graphs is not False)
    data.check_vocabulary(network.config, job.args.teacher)
    blocks = data.split("train")

    rows = shard_rows(settings.pairs, job.args.shard)
    make = partial(make_couplings, network, blocks, settings=settings, seed=seed)
    pairs, seconds = in_chunks(job.dir, rows, settings.batch_size, make, progress=job.progress)
    save_couplings(job.dir / "couplings.safetensors", pairs, network.config, settings, about_rows(rows, settings.pairs))
    job.metrics |= {
        "pairs": len(rows),
        "masked_share": pairs["masked"].double().mean().item(),
        "tokens_per_second": round(pairs["masked"].sum().item() / seconds),
        "precision": precision_name(network.body_dtype),
    }


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
