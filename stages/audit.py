"""Audit a model for memorization: what its samples share with what was trained on, and what it knows of its training pairs.

Writes audit.json (every figure with a 95% bootstrap interval over samples or pairs), per_sample.parquet and
per_pair.parquet. Of each set of samples, of the teacher's and of as much held-out text: the share of n-grams that occur
in the training text, in the couplings and in other samples, and the nearest training block and coupling. Of pairs
(noise, text): nats a token and agreement of one step, with the pair's own noise and with fresh noise, for couplings that
the model was trained on and for unseen ones, which their teacher draws now. For a model that was rectified give its
--couplings and their --teacher; another is its own teacher and has seen no pair.

Example: python stages/audit.py --data data/pydocs-carry-32/dataset.json --model results/tiny/models/imdm/redi/model.safetensors
    --samples results/tiny/samples/imdm/redi/samples.safetensors --baseline results/tiny/samples/teacher/samples.safetensors
    --couplings results/tiny/couplings/teacher/couplings.safetensors --teacher results/tiny/models/teacher/model.safetensors
    --out results/tiny/audit/imdm/redi
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = (
    "audit",
    "couplings.pairs",
    "couplings.steps",
    "couplings.draws",
    "scoring.reference",
    "scoring.bootstrap",
    "seeds.couplings",
    "seeds.scoring",
)


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack")
    parser.input("--model", help="model.safetensors of the audited model; its EMA weights are used")
    parser.input("--samples", help="samples.safetensors of sample, of that model")
    parser.input("--baseline", help="samples.safetensors of the teacher")
    parser.input("--couplings", help="couplings.safetensors that the model was rectified on", required=False)
    parser.input("--teacher", help="model.safetensors that made these couplings", required=False)


def run(job: Job) -> None:
    from functools import partial

    import pandas as pd

    from imdm.audit import REAL
    from imdm.audit.pairs import load_audited, pair_figures, pair_frame
    from imdm.audit.texts import Corpora, TextSets, text_figures, text_frame
    from imdm.data.blocks import Dataset, block_order
    from imdm.distill.couplings import make_couplings
    from imdm.errors import UserError
    from imdm.network.checkpoint import load_network, model_name
    from imdm.sampling.files import load_samples
    from imdm.stage.artifact import write_json
    from imdm.stage.chunks import in_chunks
    from imdm.stage.device import setup

    args, params, settings, seed = job.args, job.params, job.params.audit, job.params.seeds.scoring
    if (args.couplings is None) != (args.teacher is None):
        raise UserError("--couplings and --teacher go together; give the couplings and the model that made them, or neither.")
    device, body_dtype = setup(params.runtime)
    data = Dataset.open(args.data)
    networks = {model_name(path): load_network(path, "ema", body_dtype).to(device).eval() for path in (args.model, args.teacher) if path}
    for path, network in zip((args.model, args.teacher), networks.values()):
        data.check_vocabulary(network.config, path)
    model, teacher = next(iter(networks)), list(networks)[-1]
    couplings = None
    if args.couplings:
        couplings = load_audited(args.couplings, networks[teacher].config, params.couplings, params.seeds.couplings)

    blocks, held_out = data.split("train"), data.split(params.scoring.reference)
    samples, baseline = (load_samples(path, data) for path in (args.samples, args.baseline))
    sets: TextSets = {(file.about["model"], steps): tokens for file in (samples, baseline) for steps, tokens in file.tokens.items()}
    sets[REAL, None] = held_out[block_order(len(held_out), seed, 0)[: len(sets[samples.about["model"], samples.about["steps"][0]])]]
    corpora = Corpora(blocks, couplings.x if couplings else None)
    with job.progress(corpora.blocks(settings.n), "block") as bar:
        per_sample = text_frame(sets, corpora, settings.n, device, bar.update)

    index = range(params.couplings.pairs, params.couplings.pairs + settings.pairs)
    make = partial(make_couplings, networks[teacher], blocks, settings=params.couplings, seed=params.seeds.couplings)
    unseen, _ = in_chunks(job.dir, index, settings.batch_size, make, progress=job.progress)
    pairs = {"seen": {name: getattr(couplings, name)[: settings.pairs] for name in unseen}} if couplings else {}
    pairs["unseen"] = unseen
    per_pair = pd.concat([pair_frame(network, name, pairs, seed, settings.batch_size) for name, network in networks.items()])

    per_sample.to_parquet(job.dir / "per_sample.parquet")
    per_pair.to_parquet(job.dir / "per_pair.parquet")
    rows = text_figures(per_sample, params.scoring.bootstrap, seed) + pair_figures(per_pair, params.scoring.bootstrap, seed)
    metrics: dict[str, dict[str, float]] = {}  # the model's own once more, as the tree that `dvc metrics` reads
    for row in rows:
        if row["model"] == model:
            metrics.setdefault(row["metric"], {})[str(row["steps"] or "pairs")] = row["value"]
    about = {"model": model, "teacher": teacher, "couplings": len(couplings) if couplings else 0, "split": params.scoring.reference}
    write_json(job.dir / "audit.json", about | {"rows": rows, "metrics": metrics})
    job.metrics["pairs"] = settings.pairs


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
