"""Sample a model at every step count, in one process.

The draws of sample i are the same for every model and step count (common random numbers), so that differences
between models have little noise. N steps make at most N network calls a row; the last unmasks all.

Example: python stages/sample.py --model results/tiny/models/imdm/redi/model.safetensors --out results/tiny/samples/imdm/redi
"""

import sys
import time
from pathlib import Path

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.job import Job, StageParser, run_stage


def arguments(parser: StageParser) -> None:
    parser.input("--model", help="model.safetensors; its EMA weights are used")


def model_name(path: str) -> str:
    """imdm/redi for .../models/imdm/redi/model.safetensors, teacher for .../teacher/model.safetensors."""
    parts = Path(path).parent.parts
    return "/".join(parts[-2:]) if parts[-3:-2] == ("models",) else parts[-1]


def run(job: Job) -> None:
    from imdm.chunks import in_chunks
    from imdm.diffusion.counter import root_seed, row_seeds
    from imdm.models.checkpoint import load_network
    from imdm.runtime import precision_name, setup
    from imdm.sampling.files import SampleFile, save_samples
    from imdm.sampling.sampler import sample

    settings = job.params.sampling
    device, body_dtype = setup(job.params.runtime)
    network = load_network(job.args.model, "ema", body_dtype).to(device).eval()
    root = root_seed(job.params.seeds.sampling, "sampling")

    start, done = time.monotonic(), {}
    for steps in settings.steps:

        def make(first: int, count: int) -> dict:
            seeds = row_seeds(root, first, count, device)
            drawn = sample(network, seeds, steps, temperature=settings.temperature, mask_redraw=settings.mask_redraw)  # noqa: B023
            return {name: value.int().cpu() for name, value in vars(drawn).items()}

        done[steps] = in_chunks(job, settings.count, settings.batch_size, make, name=f"steps{steps}")
    seconds = time.monotonic() - start
    about = {
        "model": model_name(job.args.model),
        "steps": settings.steps,
        "temperature": settings.temperature,
        "mask_redraw": settings.mask_redraw,
        "precision": precision_name(body_dtype),
        "draws": "float64",
        "tokenizer_sha256": network.config.tokenizer_sha256,
        "seed": job.params.seeds.sampling,
    }
    parts = {name: {steps: found[name].numpy() for steps, found in done.items()} for name in ("tokens", "unmasked_at", "calls")}
    save_samples(job.dir / "samples.safetensors", SampleFile(**parts, about=about))
    job.metrics |= {"tokens_per_second": round(settings.count * network.config.seq_len * len(settings.steps) / seconds)}
    job.metrics |= {f"mean_calls_{steps}": parts["calls"][steps].mean().item() for steps in settings.steps}


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, arguments, run))
