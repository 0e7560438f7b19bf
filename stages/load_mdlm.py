"""Load a public checkpoint of MDLM, SDTT, Di4C or IMDM: as the teacher, or to sample and score it beside ours.

Writes model.safetensors in this project's layout, validation.json and an empty train_log.csv, as pretrain does. What
the file holds is recognised by its tensors; meta.json says which layout, weights and commit it was.
Later stages use the weights that are asked for: with `ema` both sets are written, with `online` those alone.

Example: python stages/load_mdlm.py --set teacher.checkpoint=kuleshov-group/mdlm-owt
    --data data/openwebtext-per_batch-1024/dataset.json --out results/owt/models/teacher
    python stages/load_mdlm.py --public sdtt7 --data data/openwebtext-per_batch-1024/dataset.json --out results/owt/models/public/sdtt7
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("teacher", "public", "pretrain.eval_batches", "pretrain.eval_batch_size", "seeds.train")


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack: the corpus that the checkpoint was trained on")
    parser.add_argument("--public", help="name of a checkpoint in public of params.yaml; without it, teacher.checkpoint")


def run(job: Job) -> None:
    import csv

    from imdm.data.blocks import Dataset
    from imdm.errors import UserError
    from imdm.network.checkpoint import load_network, write_checkpoint
    from imdm.publish.public import load_public
    from imdm.stage.artifact import sha256, write_json
    from imdm.stage.device import prepare_frozen
    from imdm.training.checkpoints import LOG_COLUMNS
    from imdm.training.pretrain import validate

    params, name = job.params, job.args.public
    if name is not None and name not in params.public:
        raise UserError(f"public has no {name!r}; it declares {', '.join(params.public) or 'nothing'}.")
    wanted = params.teacher if name is None else params.public[name]
    if wanted.checkpoint is None:
        raise UserError("teacher.checkpoint is not set; name a checkpoint there, or one of public with --public.")
    data = Dataset.open(job.args.data)
    public = load_public(wanted.checkpoint, wanted.weights, data)
    print(f"load_mdlm: {wanted.checkpoint}: {public.kind}, {public.layout}, weights: {public.used}")
    if public.used != wanted.weights:
        print(f"load_mdlm: it holds one set of weights, so weights: {wanted.weights} has no effect")
    path = job.dir / "model.safetensors"
    write_checkpoint(path, public.config, public.online, public.ema)

    network = prepare_frozen(load_network(path, "ema"), params.runtime)
    summary = validate(network, data, params.pretrain, params.seeds.train)
    write_json(job.dir / "validation.json", summary)
    with (job.dir / "train_log.csv").open("w", newline="") as file:
        csv.writer(file).writerow(LOG_COLUMNS)
    about = {"checkpoint": wanted.checkpoint, "revision": public.file.revision, "network": public.kind, "layout": public.layout}
    job.metrics |= summary | about | {"weights": public.used, "sha256": sha256(public.file.path)}


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
