"""The {00, 11} task (paper Sec. 5.2): Tables 1 and 2, with trainings of its own.

A teacher MDM, students that are rectified on its couplings, and their figures: validity, exact one-step probabilities under fresh
noise, and both readings of the factorization error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest
from torch import Tensor

from imdm.diffusion.counter import root_seed, row_seeds
from imdm.diffusion.nelbo import forward_process
from imdm.diffusion.noise import noise
from imdm.diffusion.states import initial_masks, key_of
from imdm.languages.templates import Slot, Templates
from imdm.network.checkpoint import share_weights
from imdm.network.config import NetworkConfig
from imdm.network.head_loss import nelbo
from imdm.network.network import Network
from imdm.params import Rectify, Synthetic
from imdm.sampling.sampler import sample

Triple = tuple[float, float, float]  # value, low, high of the 95% interval
Figures = dict[str, Triple]  # by metric

BINARY = Templates(["0", "1"], [[Slot(np.array([0, 1]), np.array([[0, 0], [1, 1]]))]], 2)  # no BOS, no EOS
TEXTS = torch.from_numpy(BINARY.templates[0][0].tokens)
LENGTH, MASK = 2, 2  # of a text; the mask's id, the last of the networks' vocabulary

STUDENTS = {  # mask, which settings of the task, how the teacher of the couplings draws, and whether pairs are chosen
    "mdm": ("single", "random", "independent", True),
    "imdm": ("infinite", "random", "independent", True),
    "imdm-plain": ("infinite", "random", "independent", False),
    "imdm-driven": ("infinite", "driven", "from_noise_in_order", True),
}
_TEACHER_STEPS = 1024  # a row needs no more calls than it has letters; more steps, fewer simultaneous draws
_TEACHER_BATCH, _TEACHER_LR = 128, 1e-3
_NEUTRAL_TRIALS = 64


def build(task: Synthetic, seed: int, **mask: Any) -> Network:
    """A network for texts of two tokens; `mask` are settings of the mask states."""
    torch.manual_seed(root_seed(seed, "weights"))
    sizes = {"hidden_size": task.hidden_size, "blocks": task.blocks, "heads": 2, "cond_dim": task.hidden_size, "dropout": 0.0}
    sizes |= {"vocab_size": MASK + 1, "mask_id": MASK, "seq_len": LENGTH, "learned_positions": task.learned_positions}
    return Network(NetworkConfig(**sizes, **mask))


def train(network: Network, lr: float, steps: int, loss: Callable[[int], Tensor]) -> Network:
    """AdamW with a cosine of the rate to 0; returns the network in eval mode."""
    optimizer = torch.optim.AdamW(network.parameters(), lr, weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    network.train()
    for step in range(steps):
        optimizer.zero_grad()
        loss(step).backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def train_teacher(task: Synthetic, seed: int) -> Network:
    """An MDM trained on 00 and 11, each as often as the other; the shift brings both to every time, which follow the rows."""
    network, draws = build(task, seed, mask="single"), root_seed(seed, "teacher")

    def loss(step: int) -> Tensor:
        x = TEXTS[(torch.arange(_TEACHER_BATCH) + 2 * step) % len(TEXTS)]
        return nelbo(network, forward_process(x, draws, step, 0, _TEACHER_BATCH, MASK + 1))

    return train(network, _TEACHER_LR, task.teacher_steps, loss)


def train_student(task: Synthetic, name: str, teacher: Network, seed: int) -> Network:
    """One of STUDENTS, which starts with the teacher's weights and answers each coupling's states with its completion in one step."""
    mask, kind, draws, balanced = STUDENTS[name]
    settings = task.driven if kind == "driven" else task.random
    z, x = student_couplings(teacher, draws, balanced and settings.balanced, settings, seed)
    network = build(task, seed, mask=mask, noise_dim=settings.noise_dim)
    share_weights(network, teacher)
    generator = torch.Generator().manual_seed(root_seed(seed, "rectify"))
    positions = torch.arange(settings.batch_size * LENGTH)

    def loss(step: int) -> Tensor:
        index = torch.randint(len(z), (settings.batch_size,), generator=generator)
        return torch.nn.functional.cross_entropy(network(z[index], positions), x[index].flatten())

    return train(network, settings.lr, settings.steps, loss)


def student_couplings(teacher: Network, draws: str, balanced: bool, settings: Rectify, seed: int) -> tuple[Tensor, Tensor]:
    """Full-mask couplings: states z int64 [n, 2], the teacher's completions x int64 [n, 2]; `draws` as in `sample`.

    As many as `settings.pairs`; where they are balanced, equally many near each text, as far as twice as many completions hold them.
    A completion counts for the text that has its first token; its errors are passed on, as on text. Balanced, since a few
    hundred random outcomes of {00, 11} miss 50:50 by several percent, which the student would copy.
    """
    drawn = settings.pairs * (2 if balanced else 1)
    seeds = row_seeds(root_seed(seed, f"pairs:{draws}"), 0, drawn)
    z, x = initial_masks(seeds, LENGTH, MASK + 1), sample(teacher, seeds, _TEACHER_STEPS, draws=draws).tokens
    if not balanced:
        return z, x
    outcomes = [(x[:, 0] == token).nonzero().squeeze(1) for token in range(len(TEXTS))]
    count = settings.pairs // len(TEXTS)
    if draws == "independent":
        eps = noise(key_of(z, MASK + 1), settings.noise_dim).flatten(1)
        chosen = _neutral(eps, outcomes, count, root_seed(seed, "neutral"))
    else:
        chosen = torch.cat([group[:count] for group in outcomes])
    return z[chosen], x[chosen]


def _neutral(eps: Tensor, outcomes: list[Tensor], count: int, seed: int) -> Tensor:
    """Of some random sets with `count` of each outcome, the one whose noise `eps` [n, d] favours none.

    What a student makes of n random pairs is nearly a linear rule in the texts' mean noises, whose thresholds depend on
    the norms of those means. For {00, 11} it lies off zero by 1/sqrt(n) standard deviations at random, which would show
    as an unbalanced token marginal: 0.69 nats would be missed by about every tenth seed.
    """
    generator = torch.Generator().manual_seed(seed)
    best, least = torch.empty(0, dtype=torch.int64), math.inf
    for _ in range(_NEUTRAL_TRIALS):
        chosen = [group[torch.randperm(len(group), generator=generator)[:count]] for group in outcomes]
        norms = torch.stack([eps[group].mean(0).square().sum() for group in chosen if len(group)])
        offset = (norms.max() - norms.min()).item()
        if offset < least:
            best, least = torch.cat(chosen), offset
    return best


def seed_records(task: Synthetic, seed: int) -> list[dict]:
    """All records of one seed: four students of one teacher, and independent tokens for reference."""
    torch.set_num_threads(1)  # seeds run side by side
    teacher, made = train_teacher(task, seed), []
    for name in STUDENTS:
        network = train_student(task, name, teacher, seed)
        x = sample(network, row_seeds(root_seed(seed, "samples"), 0, task.samples), steps=1).tokens
        errors = factorization_errors(text_probabilities(output_probabilities(network, task.noise_draws, seed)))
        about = {"model": name, "seed": seed}
        made += _records(sample_figures(x) | errors, table=1, setting="1 step, fresh noise", **about)
        for setting, figures in output_figures(network, seed).items():
            made += _records(figures, table=2, setting=setting, **about)
    x = torch.randint(2, (task.samples, LENGTH), generator=torch.Generator().manual_seed(seed))
    return made + _records(sample_figures(x), table=1, setting="independent tokens", model="random", seed=seed)


def _records(figures: Figures, **about: Any) -> list[dict[str, Any]]:
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
