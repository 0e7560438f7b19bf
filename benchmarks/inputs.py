"""Weights and inputs of the cases: functions of a fixed seed, so that both sides make the same."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.scales import Corpus, Scale
from imdm.diffusion.counter import row_seeds
from imdm.distill.couplings import CouplingSet
from imdm.network.config import NetworkConfig
from imdm.network.network import Network

SEED = 1


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def body_dtype() -> torch.dtype | None:
    """As the product's `precision: auto`: bfloat16 on a GPU."""
    return torch.bfloat16 if device().type == "cuda" else None


def network(scale: Scale, corpus: Corpus, mask: str, number: int = 0) -> Network:
    """A network in eval mode whose zero-initialised layers are random, as if it had been trained.

    Args:
        mask: single, infinite, or gumbel with 16 candidates.
        number: other weights for each.
    """
    sizes = {"dropout": 0.0, "vocab_size": corpus.vocab_size, "mask_id": corpus.mask_id, "seq_len": corpus.seq_len}
    torch.manual_seed(SEED + number)
    noise_dim = 16 if mask == "gumbel" else corpus.noise_dim
    made = Network(NetworkConfig(**scale.network, **sizes, mask=mask, noise_dim=noise_dim), body_dtype())
    for parameter in made.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    return made.to(device()).eval()


def blocks(corpus: Corpus, count: int) -> np.ndarray:
    """Packed blocks uint16 [count, L] of uniformly random tokens other than the mask's."""
    drawn = np.random.default_rng(SEED).integers(0, corpus.vocab_size - 1, (count, corpus.seq_len))
    return (drawn + (drawn >= corpus.mask_id)).astype(np.uint16)


def couplings(corpus: Corpus, count: int) -> CouplingSet:
    """Couplings whose texts are random; half of the positions are masked on average."""
    generator = torch.Generator().manual_seed(SEED)
    t = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    masked = torch.rand(count, corpus.seq_len, generator=generator) < t[:, None]
    x = torch.from_numpy(blocks(corpus, count).astype(np.int32))
    return CouplingSet(x, masked, t, row_seeds(SEED, 0, count), {})
