"""Measure the factorization error of Eq. 6 on held-out blocks: how far one step is from the joint that a teacher gives
by writing the same positions one at a time, summed over the transitions of each step count.

Nats per written token and per sequence, with 95% bootstrap intervals over sequences, and the parts that the error is the sum of
(src/imdm/factorization.py). For a model with noise the mean over M
noise draws stands for the model; the estimate falls with M, so several M are shown. --teacher has a single mask; as
--model too it gives the total correlation of what it writes at once.

Example: python stages/factorization.py --data data/pydocs-carry-32/dataset.json --model results/tiny/models/imdm/redi/model.safetensors
    --teacher results/tiny/models/teacher/model.safetensors --out results/tiny/factorization/imdm/redi
"""

import sys
from typing import Any

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("factorization", "seeds.scoring")


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack")
    parser.input("--model", help="model.safetensors; its EMA weights are used")
    parser.input("--teacher", help="model.safetensors with a single mask, whose chain rule is the joint")


def run(job: Job) -> None:
    import numpy as np
    import torch

    from imdm.data.blocks import Dataset, batch_indices
    from imdm.diffusion.counter import root_seed, row_seeds
    from imdm.factorization import check_density, check_teacher, error_records, noisy, path_errors, sequence_frame
    from imdm.network.checkpoint import load_network, model_name
    from imdm.stage.artifact import write_json
    from imdm.stage.chunks import in_chunks
    from imdm.stage.device import precision_name, prepare_frozen, setup

    settings, seed = job.params.factorization, job.params.seeds.scoring
    device, body_dtype = setup(job.params.runtime)
    data = Dataset.open(job.args.data)
    teacher, model = (prepare_frozen(load_network(path, "ema"), job.params.runtime) for path in (job.args.teacher, job.args.model))
    for network, origin in ((teacher, job.args.teacher), (model, job.args.model)):
        data.check_vocabulary(network.config, origin)
    check_teacher(teacher.config, job.args.teacher)
    check_density(model.config, job.args.model)
    blocks, root = data.split(settings.split), root_seed(seed, "factorization")

    def make(first: int, count: int) -> dict[str, torch.Tensor]:
        index = [int(batch_indices(len(blocks), i, 1, seed)[0]) for i in range(first, first + count)]
        x = torch.from_numpy(blocks[index].astype(np.int64)).to(device)
        seeds = row_seeds(root, first, count, device)
        errors = {n: path_errors(teacher, model, x, seeds, n, settings.noise_draws) for n in settings.steps}
        return {f"{n}.{name}": value.cpu() for n, values in errors.items() for name, value in values.items()}

    errors, _ = in_chunks(job.dir, range(settings.sequences), settings.batch_size, make, progress=job.progress)
    frame = sequence_frame({name: value.numpy() for name, value in errors.items()}, settings)
    frame.to_parquet(job.dir / "per_sequence.parquet")
    rows = error_records(frame, data.seq_len, settings, seed)
    about: dict[str, Any] = {
        "model": model_name(job.args.model),
        "teacher": model_name(job.args.teacher),
        "precision": precision_name(body_dtype),
    }
    about |= {"noise_draws": settings.noise_draws, "seq_len": data.seq_len, "noise": noisy(model.config), "rows": rows}
    about["metrics"] = {}  # the values once more, as the tree that `dvc metrics` reads
    for row in rows:
        about["metrics"].setdefault(row["metric"], {})[str(row["steps"])] = row["value"]
    write_json(job.dir / "factorization.json", about)
    job.metrics["sequences"] = settings.sequences


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
