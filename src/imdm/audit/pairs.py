"""How well a model knows, in one step, what a teacher made of a noised block: with the pair's own noise and with fresh noise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from imdm.diffusion.counter import Stream, bits, root_seed, row_seeds, uniform
from imdm.diffusion.states import mask_where
from imdm.distill.couplings import CouplingSet, load_couplings
from imdm.errors import UserError
from imdm.network.config import NetworkConfig
from imdm.network.network import Network
from imdm.params import Couplings
from imdm.scoring.bootstrap import interval, ratio_interval, ratio_resamples

Pairs = dict[str, Tensor]  # x, masked, seed as those of a CouplingSet


@torch.inference_mode()
def one_step(network: Network, pairs: Pairs, seeds: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
    """Predict every pair's x from its z_t in one step.

    Args:
        network: in eval mode.
        seeds: int64 [n], from which mask states (and a latent, where the network has one) are drawn: the pairs' own, or
            others. A single mask ignores them.
        batch_size: pairs at once.

    Returns:
        -log p(x) in nats, summed over the masked positions, float64 [n], and the number of those whose most likely token
        is that of x, int64 [n].
    """
    device, config = network.vocab_embed.embedding.device, network.config
    nll, equal = [], []
    for x, masked, own in zip(*(values.to(device).split(batch_size) for values in (pairs["x"].long(), pairs["masked"], seeds))):
        positions = masked.flatten().nonzero().squeeze(1)
        latent = None if config.latent_hidden is None else uniform(bits(own, Stream.LATENT, 0))
        logits = network(mask_where(x, masked, own, config.vocab_size), positions, latent)
        targets = x.flatten()[positions]
        nll.append(_by_row(masked, F.cross_entropy(logits, targets, reduction="none").double()))
        equal.append(_by_row(masked, (logits.argmax(-1) == targets).long()))
    return torch.cat(nll).cpu(), torch.cat(equal).cpu()


def _by_row(masked: Tensor, values: Tensor) -> Tensor:
    """Sum of the masked positions' values in each row."""
    return torch.zeros(masked.shape, dtype=values.dtype, device=values.device).masked_scatter(masked, values).sum(1)


def pair_frame(network: Network, model: str, sets: dict[str, Pairs], seed: int, batch_size: int) -> pd.DataFrame:
    """What a model makes of pairs, one row a pair: model, pairs, tokens, nll_own, nll_fresh, equal_own, equal_fresh.

    Args:
        sets: pairs by what they are: seen or unseen.
        seed: of the fresh noise, which a pair of the same place in each set shares, whatever the model.
    """
    frames = []
    for name, pairs in sets.items():
        own, fresh = pairs["seed"], row_seeds(root_seed(seed, "audit"), 0, len(pairs["seed"]))
        columns = {"tokens": pairs["masked"].sum(1)}
        for noise, seeds in (("own", own), ("fresh", fresh)):
            columns[f"nll_{noise}"], columns[f"equal_{noise}"] = one_step(network, pairs, seeds, batch_size)
        frames.append(pd.DataFrame({"model": model, "pairs": name} | {key: value.numpy() for key, value in columns.items()}))
    return pd.concat(frames, ignore_index=True)


def pair_figures(frame: pd.DataFrame, resamples: int, seed: int) -> list[dict[str, Any]]:
    """What `pair_frame` says of each model and kind of pairs, in nats and percent of masked tokens.

    nll_KIND_NOISE, equal_KIND_NOISE_pct: with the pairs' own noise and with fresh noise. noise_gap_KIND: nats that fresh
    noise costs. pair_gap: nats that a pair costs more where it was not trained on, each with its own noise.
    """
    records = []
    for model, part in frame.groupby("model", sort=False):
        for metric, value, low, high in _of_model(part, resamples, seed):
            records.append({"model": model, "steps": None, "metric": metric, "value": float(value), "low": low, "high": high})
    return records


def _of_model(frame: pd.DataFrame, resamples: int, seed: int) -> Iterator[tuple[str, float, float, float]]:
    kinds = {kind: part.drop(columns=["model", "pairs"]).astype(float) for kind, part in frame.groupby("pairs", sort=False)}
    for kind, pairs in kinds.items():
        tokens = pairs["tokens"]
        figures = {f"nll_{kind}_{noise}": pairs[f"nll_{noise}"] for noise in ("own", "fresh")}
        figures |= {f"equal_{kind}_{noise}_pct": 100 * pairs[f"equal_{noise}"] for noise in ("own", "fresh")}
        figures[f"noise_gap_{kind}"] = pairs["nll_fresh"] - pairs["nll_own"]
        for metric, values in figures.items():
            yield metric, values.sum() / tokens.sum(), *ratio_interval(values.to_numpy(), tokens.to_numpy(), resamples, seed)
    if len(kinds) == 2:
        unseen, seen = ((kinds[kind]["nll_own"].to_numpy(), kinds[kind]["tokens"].to_numpy()) for kind in ("unseen", "seen"))
        gap = unseen[0].sum() / unseen[1].sum() - seen[0].sum() / seen[1].sum()
        yield "pair_gap", gap, *interval(ratio_resamples(*unseen, resamples, seed) - ratio_resamples(*seen, resamples, seed + 1))


def load_audited(path: str | Path, config: NetworkConfig, settings: Couplings, seed: int) -> CouplingSet:
    """The couplings that a model was trained on, which pairs of other indices can be added to.

    Raises:
        UserError: as `load_couplings`, or they were made with other settings or another seed.
    """
    couplings = load_couplings(path, config)
    for key, value in settings.model_dump(mode="json", exclude={"batch_size"}).items():
        if couplings.about[key] != value:
            raise UserError(f"{path} was made with couplings.{key} {couplings.about[key]}, not {value}; run stage couple again.")
    if couplings.seed[0] != row_seeds(root_seed(seed, "couplings"), 0, 1)[0]:
        raise UserError(f"{path} was not made with seeds.couplings {seed}, so that unseen pairs can't be told; run stage couple again.")
    return couplings
