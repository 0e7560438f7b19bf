"""Generation of many rows at several step counts: what sample, complete and match have in common."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from imdm.diffusion.counter import root_seed, row_seeds
from imdm.network.checkpoint import load_network
from imdm.network.network import Network
from imdm.params import Sampling
from imdm.sampling.files import SampleFile, save_samples
from imdm.sampling.prompts import Prompts
from imdm.sampling.sampler import sample
from imdm.stage.chunks import in_chunks
from imdm.stage.device import precision_name, prepare_frozen
from imdm.stage.job import Job
from imdm.stage.shards import about_rows, shard_rows


@dataclass(frozen=True)
class Rows:
    """Samples of one model by index.

    The draws of a row follow from `root` and its index, whatever the model, step count and temperature (common random
    numbers), so that differences between models have little noise.

    Attributes:
        network: on its device, in eval mode.
        settings: of sampling.
        root: seed of all draws.
        prompts: what the rows complete; None for unconditional samples.
    """

    network: Network
    settings: Sampling
    root: int
    prompts: Prompts | None = None

    def make(self, steps: int, temperature: float, first: int, count: int) -> dict[str, Tensor]:
        """Rows first .. first+count-1: int32 tokens and unmasked_at [count, L], calls [count]."""
        device = self.network.vocab_embed.embedding.device
        seeds = row_seeds(self.root, first, count, device)
        visible = self.prompts.visible(first, count, device) if self.prompts else None
        drawn = sample(self.network, seeds, steps, visible=visible, temperature=temperature, mask_redraw=self.settings.mask_redraw)
        return {name: value.int().cpu() for name, value in vars(drawn).items()}


def open_rows(job: Job, purpose: str, prompts: Prompts | None = None) -> Rows:
    """The rows of the model that --model names; rows of different purposes share no draws."""
    runtime = job.params.runtime
    network = prepare_frozen(load_network(job.args.model, "ema"), runtime, cuda_graphs=runtime.cuda_graphs is True)
    return Rows(network, job.params.sampling, root_seed(job.params.seeds.sampling, purpose), prompts)


def rows_in_chunks(job: Job, rows: Rows, index: range, steps: int, temperature: float, name: str) -> tuple[dict[str, Tensor], float]:
    """The rows `index`, chunk by chunk, and the seconds they took; an interrupted stage goes on with the next chunk."""
    return in_chunks(job, index, rows.settings.batch_size, partial(rows.make, steps, temperature), name=name)


def generate(job: Job, rows: Rows, count: int, temperatures: dict[int, float], task: str, shard: str | None = None, **about: Any) -> None:
    """Write samples.safetensors: `count` rows for each step count, or one shard of them.

    Args:
        temperatures: by step count.
        task: unconditional, conditional or matched.
        shard: i/n of `shard_rows`.
        about: what else the file says of its samples.
    """
    index = shard_rows(count, shard)
    made = {steps: rows_in_chunks(job, rows, index, steps, value, f"steps{steps}") for steps, value in temperatures.items()}
    found, seconds = {steps: tensors for steps, (tensors, _) in made.items()}, sum(time for _, time in made.values())
    config = rows.network.config
    about = {"conditional": None, "matching": None} | about_rows(index, count) | about
    about |= {
        "task": task,
        "model": model_name(job.args.model),
        "steps": list(temperatures),
        "temperature": {str(steps): value for steps, value in temperatures.items()},
        "mask_redraw": rows.settings.mask_redraw,
        "precision": precision_name(rows.network.body_dtype),
        "draws": "float64",
        "tokenizer_sha256": config.tokenizer_sha256,
        "seed": job.params.seeds.sampling,
    }
    parts = {name: {steps: tensors[name].numpy() for steps, tensors in found.items()} for name in ("tokens", "unmasked_at", "calls")}
    save_samples(job.dir / "samples.safetensors", SampleFile(**parts, about=about))
    job.metrics |= {"tokens_per_second": round(len(index) * config.seq_len * len(temperatures) / seconds)}
    job.metrics |= {f"mean_calls_{steps}": parts["calls"][steps].mean().item() for steps in temperatures}


def model_name(path: str) -> str:
    """imdm/redi for .../models/imdm/redi/model.safetensors, teacher for .../teacher/model.safetensors."""
    parts = Path(path).parent.parts
    return "/".join(parts[-2:]) if parts[-3:-2] == ("models",) else parts[-1]
