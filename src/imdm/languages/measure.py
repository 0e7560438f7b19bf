"""What a network makes of words: samples, and exact one-step probabilities under fresh noise."""

from __future__ import annotations

import math
from typing import Any

import torch
from scipy.stats import binomtest
from torch import Tensor

from imdm.diffusion.counter import root_seed, row_seeds
from imdm.diffusion.states import initial_masks
from imdm.languages.words import Words
from imdm.network.network import Network

Triple = tuple[float, float, float]  # value, low, high of the 95% interval
Figures = dict[str, Triple]  # by metric


def exactly(value: float) -> Triple:
    """A number without an interval."""
    return value, value, value


def records(figures: Figures, **about: Any) -> list[dict[str, Any]]:
    """One record a figure, for a tidy table: what it is `about`, metric, value, low and high."""
    return [about | {"metric": name, "value": value, "low": low, "high": high} for name, (value, low, high) in figures.items()]


@torch.inference_mode()
def output_probabilities(network: Network, words: Words, draws: int, seed: int) -> Tensor:
    """P(letter | noise) of every position at full masking, for so many fresh noise realizations: float64 [draws, L, letters]."""
    z = initial_masks(row_seeds(root_seed(seed, "noise"), 0, draws), words.length, words.vocab_size)
    logits = network(z, torch.arange(draws * words.length))
    return torch.softmax(logits.double(), dim=-1)[:, : words.letters].view(draws, words.length, words.letters)


def word_probabilities(p: Tensor, words: Words) -> Tensor:
    """P(word | noise) of one step, the product over positions: [draws, L, letters] to [draws, K]."""
    return p[:, torch.arange(words.length), words.table].prod(-1)


def factorization_errors(valid: Tensor) -> Figures:
    """Both readings of the error of Table 1, in nats, with intervals over the noise draws.

    error_kl_nats: KL(p_data || mean over noise of the product of the positions' probabilities); Eq. 6 at full masking. The
    mean over words is exact, that over noise is of `draws` realizations: by Jensen's inequality the estimate is too
    high, by about `kl_bias`; its standard error is that of the mean over noise of -1/K sum_k P(word_k | noise) / P(word_k).
    error_valid_mass_nats: mean over noise of -ln(mass of the words). The paper's 0.082 at 97.7% validity of {00, 11} is
    possible under the second alone: the first is at most about 0.03 there.

    Args:
        valid: P(word | noise) [draws, K].
    """
    mean, mass = valid.mean(0), -valid.sum(1).log()
    kl = -(len(mean) * mean).log().mean().item()
    influence = (valid / mean).mean(1)
    return {"error_kl_nats": _normal(kl, influence), "error_valid_mass_nats": mean_interval(mass)}


def kl_bias(valid: Tensor) -> float:
    """Leading term of how much too high `error_kl_nats` is on average, in nats: mean over words of var / (2 draws mean^2)."""
    return (valid.var(0, correction=0) / valid.mean(0).square()).mean().item() / (2 * len(valid))


def mean_interval(terms: Tensor) -> Triple:
    """The mean of independent terms [n] with its 95% interval."""
    return _normal(terms.mean().item(), terms)


def _normal(value: float, terms: Tensor) -> Triple:
    half = 1.96 * terms.std(correction=0).item() / math.sqrt(len(terms))
    return value, value - half, value + half


def validity(x: Tensor, words: Words) -> Triple:
    """Share of samples [n, L] that are words in percent, with its 95% Wilson interval."""
    hits, n = int((words.index(x) >= 0).sum()), len(x)
    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return 100 * hits / n, 100 * interval.low, 100 * interval.high


def token_entropy(x: Tensor) -> float:
    """Entropy of the token marginal of samples [n, L], in nats."""
    rates = x.flatten().bincount() / x.numel()
    return torch.special.entr(rates).sum().item()


def coverage(x: Tensor, words: Words) -> Triple:
    """Different words among K samples over the number expected of K draws from the data, in percent, with a 95% interval.

    A mean over n // K groups of K samples [n, L]; 100 for the data itself, v for small v at a validity of v, less where words are missing.
    """
    groups = words.index(x)[: len(x) // len(words) * len(words)].view(-1, len(words))
    distinct = torch.stack([(groups == word).any(1) for word in range(len(words))]).sum(0)
    shares = 100 * distinct / words.expected_distinct(len(words))
    return mean_interval(shares)
