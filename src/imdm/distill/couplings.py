"""Couplings: what a teacher makes of a noised block, with the noise it started from (ReDi).

A coupling is (x, mask pattern, t, seed). The keys of z_t are a function of (seed, position), so that
a pair takes about two bytes a position and its noise can be drawn again exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from imdm.data.blocks import batch_indices
from imdm.diffusion.counter import Stream, bits, root_seed, row_seeds, uniform
from imdm.diffusion.schedule import mask_probability
from imdm.errors import UserError
from imdm.files import require_array
from imdm.network.config import NetworkConfig
from imdm.network.network import Network
from imdm.params import Couplings
from imdm.sampling.sampler import sample
from imdm.stage.shards import About, load_rows, save_rows

_OF_NETWORK = ("vocab_size", "seq_len", "tokenizer_sha256")


class AboutCouplings(About):
    """What a file of couplings says of them."""

    vocab_size: int
    seq_len: int
    tokenizer_sha256: str
    pairs: Annotated[int, Field(gt=0, lt=2**31)]
    steps: int
    draws: str


@dataclass
class CouplingSet:
    """Couplings of one teacher.

    Attributes:
        x: the teacher's completions, int32 [n, L].
        masked: which positions of z_t were masked, bool [n, L].
        t: noise levels, float64 [n].
        seed: int64 [n]; the mask keys of z_t are functions of it.
        about: settings and vocabulary.
    """

    x: Tensor
    masked: Tensor
    t: Tensor
    seed: Tensor
    about: dict

    def __len__(self) -> int:
        return len(self.x)


def make_couplings(network: Network, blocks: np.ndarray, first: int, count: int, settings: Couplings, seed: int) -> dict[str, Tensor]:
    """Couplings first .. first+count-1; each depends on (seed, its index) alone.

    A real block, masked at level t ~ U(0, 1), is completed by the teacher (perturbed rectification). A student of keyed distillation
    draws from its noise, whatever the settings say.

    Args:
        network: the teacher, in eval mode.
        blocks: training blocks uint16 [n, L].

    Returns:
        x int32 [count, L], masked bool [count, L], t float64 [count], seed int64 [count], on the CPU.
    """
    device = network.vocab_embed.embedding.device
    draws = settings.draws if network.config.draws == "independent" else network.config.draws
    seeds = row_seeds(root_seed(seed, "couplings"), first, count, device)
    index = np.concatenate([batch_indices(len(blocks), i, 1, seed) for i in range(first, first + count)])
    real = torch.from_numpy(blocks[index].astype(np.int64)).to(device)
    t = uniform(bits(seeds, Stream.LEVEL))
    masked = uniform(bits(seeds[:, None], Stream.MASK, torch.arange(real.shape[1], device=device))) < mask_probability(t)[:, None]
    x = sample(network, seeds, settings.steps, start=t, visible=(~masked, real), draws=draws).tokens
    return {"x": x.int().cpu(), "masked": masked.cpu(), "t": t.cpu(), "seed": seeds.cpu()}


def save_couplings(
    path: str | Path, tensors: dict[str, Tensor], config: NetworkConfig, settings: Couplings, shard: dict[str, Any] | None = None
) -> None:
    """Write `make_couplings`'s tensors with the teacher's vocabulary, the settings and, of a shard, its rows.

    The batch size isn't among them, since it changes nothing.
    """
    about = {key: getattr(config, key) for key in _OF_NETWORK} | settings.model_dump(mode="json", exclude={"batch_size"})
    save_rows(path, {name: tensor.numpy() for name, tensor in tensors.items()}, about | (shard or {}))


def load_couplings(path: str | Path, config: NetworkConfig) -> CouplingSet:
    """Read couplings for a network. Raises UserError: truncated, foreign, a shard, or made for another vocabulary or length."""
    tensors, about = load_rows(path, "couplings", AboutCouplings)
    for key in _OF_NETWORK:
        if about[key] != getattr(config, key):
            raise UserError(
                f"{path} was made for {key} {about[key]}, the network has {getattr(config, key)}; "
                "make couplings with a teacher of the same corpus."
            )
    pairs, length = about["pairs"], config.seq_len
    x = require_array(path, tensors, "x", "int32", (pairs, length), 0, config.vocab_size - 1)
    masked = require_array(path, tensors, "masked", "bool", (pairs, length))
    t, seed = require_array(path, tensors, "t", "float64", (pairs,), 0, 1), require_array(path, tensors, "seed", "int64", (pairs,))
    return CouplingSet(torch.from_numpy(x), torch.from_numpy(masked), torch.from_numpy(t), torch.from_numpy(seed), about)
