"""The numbers of Tables 1 and 2: validity, exact one-step probabilities under fresh noise, and both readings of the error."""

from __future__ import annotations

import math
from typing import Any

import torch
from scipy.stats import binomtest
from torch import Tensor

from imdm.diffusion.counter import root_seed, row_seeds
from imdm.diffusion.states import initial_masks
from imdm.network.network import Network
from imdm.params import Synthetic
from imdm.sampling.sampler import sample
from imdm.synthetic.students import BINARY, LENGTH, MASK, STUDENTS, TEXTS, train_student, train_teacher

Triple = tuple[float, float, float]  # value, low, high of the 95% interval
Figures = dict[str, Triple]  # by metric


def seed_records(task: Synthetic, seed: int) -> list[dict]:
    """All records of one seed: four students of one teacher, and independent tokens for reference."""
    torch.set_num_threads(1)  # seeds run side by side
    teacher, made = train_teacher(task, seed), []
    for name in STUDENTS:
        network = train_student(task, name, teacher, seed)
        x = sample(network, row_seeds(root_seed(seed, "samples"), 0, task.samples), steps=1).tokens
        errors = factorization_errors(text_probabilities(output_probabilities(network, task.noise_draws, seed)))
        about = {"model": name, "seed": seed}
        made += records(sample_figures(x) | errors, table=1, setting="1 step, fresh noise", **about)
        for setting, figures in output_figures(network, seed).items():
            made += records(figures, table=2, setting=setting, **about)
    x = torch.randint(2, (task.samples, LENGTH), generator=torch.Generator().manual_seed(seed))
    return made + records(sample_figures(x), table=1, setting="independent tokens", model="random", seed=seed)


def records(figures: Figures, **about: Any) -> list[dict[str, Any]]:
    """One record a figure, for a tidy table: what it is `about`, metric, value, low and high."""
    return [about | {"metric": name, "value": value, "low": low, "high": high} for name, (value, low, high) in figures.items()]


def sample_figures(x: Tensor) -> Figures:
    """Validity with its Wilson interval, and entropy of the token marginal, of samples [n, 2]."""
    valid = int(BINARY.contains(x.numpy()).sum())
    interval = binomtest(valid, len(x)).proportion_ci(method="wilson")
    rates = x.flatten().bincount() / x.numel()
    entropy = torch.special.entr(rates).sum().item()
    return {"validity_pct": (100 * valid / len(x), 100 * interval.low, 100 * interval.high), "token_entropy_nats": (entropy,) * 3}


@torch.inference_mode()
def output_probabilities(network: Network, draws: int, seed: int) -> Tensor:
    """P(token | noise) of both positions at full masking, for so many fresh noise realizations: float64 [draws, 2, 2]."""
    z = initial_masks(row_seeds(root_seed(seed, "noise"), 0, draws), LENGTH, MASK + 1)
    logits = network(z, torch.arange(draws * LENGTH))
    return torch.softmax(logits.double(), dim=-1)[:, :MASK].view(draws, LENGTH, MASK)


def output_figures(network: Network, seed: int) -> dict[str, Figures]:
    """P(token = 0) under the first noise that leads to 0 and the first that leads to 1; without noise twice the same."""
    p = output_probabilities(network, 1000, seed)[:, :, 0]
    first = {"noise A": (p[:, 0] > 0.5).int().argmax(), "noise B": (p[:, 0] <= 0.5).int().argmax()}
    return {setting: {f"P(token{i + 1}=0)_pct": (100 * p[index, i].item(),) * 3 for i in range(LENGTH)} for setting, index in first.items()}


def text_probabilities(p: Tensor) -> Tensor:
    """P(text | noise) of one step, the product over positions: [draws, 2, 2] to [draws, 2], of 00 and 11."""
    return p[:, torch.arange(LENGTH), TEXTS].prod(-1)


def factorization_errors(valid: Tensor) -> Figures:
    """Both readings of the error of Table 1, in nats, with intervals over the noise draws.

    error_kl_nats: KL(p_data || mean over noise of the product of the positions' probabilities); Eq. 6 at full masking. The
    mean over texts is exact, that over noise is of `draws` realizations: by Jensen's inequality the estimate is too high, on
    average by var / (2 draws mean^2) to first order; its standard error is that of the mean over noise of
    -1/K sum_k P(text_k | noise) / P(text_k).
    error_valid_mass_nats: mean over noise of -ln(mass of the texts). The paper's 0.082 at 97.7% validity is possible
    under the second alone: the first is at most about 0.03 there.

    Args:
        valid: P(text | noise) [draws, K].
    """
    mean, mass = valid.mean(0), -valid.sum(1).log()
    kl = -(len(mean) * mean).log().mean().item()
    influence = (valid / mean).mean(1)
    return {"error_kl_nats": _normal(kl, influence), "error_valid_mass_nats": _normal(mass.mean().item(), mass)}


def _normal(value: float, terms: Tensor) -> Triple:
    half = 1.96 * terms.std(correction=0).item() / math.sqrt(len(terms))
    return value, value - half, value + half
