"""The networks of the {00, 11} task: a teacher MDM, and students of it (paper Sec. 5.2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
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
    """One of STUDENTS, which starts with the teacher's weights."""
    mask, kind, draws, balanced = STUDENTS[name]
    settings = task.driven if kind == "driven" else task.random
    if settings.balanced and balanced:
        pairs = _balanced_couplings(teacher, draws, settings, seed)
    else:
        pairs = _couplings(teacher, settings.pairs, draws, seed)
    return _rectified(task, mask, settings, teacher, pairs, seed)


def _couplings(teacher: Network, count: int, draws: str, seed: int) -> tuple[Tensor, Tensor]:
    """Full-mask couplings: states z int64 [count, 2], the teacher's completions x int64 [count, 2]; `draws` as in `sample`."""
    seeds = row_seeds(root_seed(seed, f"pairs:{draws}"), 0, count)
    return initial_masks(seeds, LENGTH, MASK + 1), sample(teacher, seeds, _TEACHER_STEPS, draws=draws).tokens


def _balanced_couplings(teacher: Network, draws: str, settings: Rectify, seed: int) -> tuple[Tensor, Tensor]:
    """At most `settings.pairs` of `_couplings`, equally many near each text, as far as twice as many completions hold them.

    A completion counts for the text that has its first token; its errors are passed on, as on text. Balanced, since a few
    hundred random outcomes of {00, 11} miss 50:50 by several percent, which the student would copy.
    """
    z, x = _couplings(teacher, 2 * settings.pairs, draws, seed)
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


def _rectified(task: Synthetic, mask: str, settings: Rectify, teacher: Network, pairs: tuple[Tensor, Tensor], seed: int) -> Network:
    """A student that answers each coupling's states, all masked, with its completion in one step."""
    z, x = pairs
    network = build(task, seed, mask=mask, noise_dim=settings.noise_dim)
    share_weights(network, teacher)
    generator = torch.Generator().manual_seed(root_seed(seed, "rectify"))
    positions = torch.arange(settings.batch_size * LENGTH)

    def loss(step: int) -> Tensor:
        index = torch.randint(len(z), (settings.batch_size,), generator=generator)
        return torch.nn.functional.cross_entropy(network(z[index], positions), x[index].flatten())

    return train(network, settings.lr, settings.steps, loss)
