"""Many samples of one model at several step counts: what sample, complete and match_entropy have in common."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from imdm.diffusion.counter import root_seed, row_seeds
from imdm.network.checkpoint import load_network, model_name
from imdm.network.network import Network
from imdm.params import Runtime, Sampling
from imdm.sampling.files import SampleFile, save_samples
from imdm.sampling.prompts import Prompts
from imdm.sampling.sampler import sample
from imdm.stage.chunks import Progress, in_chunks, no_progress
from imdm.stage.device import precision_name, prepare_frozen
from imdm.stage.shards import about_rows, shard_rows


@dataclass(frozen=True)
class Sampler:
    """Samples of one model by index.

    The draws of sample i follow from the seed and i, whatever the model, step count and temperature (common random numbers), so
    that differences between models have little noise. Completions share no draws with unconditional samples.

    Attributes:
        model: its name.
        network: on its device, in eval mode.
        batch_size: sequences at once; changes nothing.
        seed: of all draws.
        prompts: what the samples complete; None for unconditional ones.
        unmasking: which positions a step unmasks, as of `sample`.
    """

    model: str
    network: Network
    batch_size: int
    seed: int
    prompts: Prompts | None = None
    unmasking: str = "independent"

    @classmethod
    def load(cls, path: str | Path, runtime: Runtime, settings: Sampling, seed: int, prompts: Prompts | None = None) -> Sampler:
        """That of a model.safetensors, of whose weights the EMA is used."""
        network = prepare_frozen(load_network(path, "ema"), runtime, cuda_graphs=runtime.cuda_graphs is True)
        return cls(model_name(path), network, settings.batch_size, seed, prompts, settings.unmasking)

    def draw(self, steps: int, temperature: float, first: int, count: int) -> dict[str, Tensor]:
        """Samples first .. first+count-1: int32 tokens and unmasked_at [count, L], calls [count]."""
        device = self.network.vocab_embed.embedding.device
        root = root_seed(self.seed, "completion" if self.prompts else "sampling")
        seeds = row_seeds(root, first, count, device)
        visible = self.prompts.visible(first, count, device) if self.prompts else None
        drawn = sample(self.network, seeds, steps, visible=visible, temperature=temperature, unmasking=self.unmasking)
        return {name: value.int().cpu() for name, value in vars(drawn).items()}

    def draw_range(
        self, folder: Path, index: range, steps: int, temperature: float, progress: Progress = no_progress
    ) -> tuple[dict[str, Tensor], float]:
        """The samples `index`, and the seconds they took; what is drawn stays below `folder`, so that an interruption costs a batch."""
        name = f"steps{steps}-{temperature!r}-{index.stop}"
        return in_chunks(folder, index, self.batch_size, partial(self.draw, steps, temperature), name, progress)


def sample_steps(
    sampler: Sampler,
    folder: Path,
    count: int,
    temperatures: dict[int, float],
    task: str,
    shard: str | None = None,
    progress: Progress = no_progress,
    **about: Any,
) -> dict[str, float]:
    """Write folder/samples.safetensors: `count` samples for each step count, or one shard of them.

    Args:
        temperatures: by step count.
        task: unconditional, conditional or matched.
        shard: i/n of `shard_rows`.
        about: what else the file says of its samples.

    Returns:
        tokens a second, and mean network calls of each step count.
    """
    index, network = shard_rows(count, shard), sampler.network
    drawn = {steps: sampler.draw_range(folder, index, steps, value, progress) for steps, value in temperatures.items()}
    about = {"conditional": None, "matching": None} | about_rows(index, count) | about
    about |= {
        "task": task,
        "model": sampler.model,
        "steps": list(temperatures),
        "temperature": {str(steps): value for steps, value in temperatures.items()},
        "precision": precision_name(network.body_dtype),
        "draws": "float64",
        "tokenizer_sha256": network.config.tokenizer_sha256,
        "seed": sampler.seed,
    }
    columns = {name: {steps: tensors[name].numpy() for steps, (tensors, _) in drawn.items()} for name in ("tokens", "unmasked_at", "calls")}
    save_samples(folder / "samples.safetensors", SampleFile(**columns, about=about))
    tokens, seconds = len(index) * network.config.seq_len * len(temperatures), sum(time for _, time in drawn.values())
    calls = {f"mean_calls_{steps}": columns["calls"][steps].mean().item() for steps in temperatures}
    return {"tokens_per_second": round(tokens / seconds)} | calls
