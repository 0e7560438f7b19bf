"""Couplings of words with as many of each word."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from imdm.diffusion.counter import root_seed
from imdm.diffusion.noise import noise
from imdm.diffusion.states import key_of
from imdm.languages.task import MODELS, couplings
from imdm.languages.words import Words
from imdm.network.network import Network
from imdm.params import Rectify

_NEUTRAL_TRIALS = 64


def balanced(network: Network, words: Words, model: str, how: Rectify, seed: int) -> tuple[Tensor, Tensor]:
    """Full-mask couplings of the teacher with equally many near each word, as far as twice as many completions hold them.

    A completion counts for the word that it is nearest to; its errors are passed on, as on text. Balanced, since a few
    hundred random outcomes of {00, 11} miss 50:50 by several percent, which the student would copy.

    Args:
        model: of MODELS, for which student.

    Returns:
        (states z int64 [n, L], completions x int64 [n, L]); n is at most how.pairs.
    """
    draws = MODELS[model][2]
    z, x = couplings(network, words, 2 * how.pairs, draws, seed)
    index = words.nearest(x)
    outcomes = [(index == word).nonzero().squeeze(1) for word in range(len(words))]
    count = how.pairs // len(words)
    if draws == "independent":
        chosen = _neutral(z, words, outcomes, count, how.noise_dim, root_seed(seed, "neutral"))
    else:
        chosen = torch.cat([group[:count] for group in outcomes])
    return z[chosen], x[chosen]


def _neutral(z: Tensor, words: Words, outcomes: list[Tensor], count: int, noise_dim: int, seed: int) -> Tensor:
    """Of some random sets with `count` of each word, the one whose noise favours none.

    What a student makes of n random pairs is nearly a linear rule in the words' mean noises, whose thresholds depend on
    the norms of those means. For {00, 11} it lies off zero by 1/sqrt(n) standard deviations at random, which would show
    as an unbalanced token marginal: 0.69 nats would be missed by about every tenth seed.
    """
    eps = noise(key_of(z, words.vocab_size), noise_dim).flatten(1)
    generator = torch.Generator().manual_seed(seed)
    best, least = None, math.inf
    for _ in range(_NEUTRAL_TRIALS):
        picked = [group[torch.randperm(len(group), generator=generator)[:count]] for group in outcomes]
        norms = torch.stack([eps[group].mean(0).square().sum() for group in picked if len(group)])
        offset = (norms.max() - norms.min()).item()
        if offset < least:
            best, least = torch.cat(picked), offset
    return best
