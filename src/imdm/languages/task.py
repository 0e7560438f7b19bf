"""Models of the synthetic tasks: a teacher MDM, and students rectified on its couplings (paper Sec. 5.2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from imdm.diffusion.counter import Stream, bits, root_seed, row_seeds, uniform
from imdm.diffusion.nelbo import Noised, forward_process
from imdm.diffusion.schedule import mask_probability, stratified_times
from imdm.diffusion.states import initial_masks
from imdm.distill.keyed import keyed_batch, keyed_loss, keyed_student
from imdm.languages.language import Language
from imdm.network.checkpoint import share_weights
from imdm.network.config import NetworkConfig
from imdm.network.head_loss import nelbo
from imdm.network.network import Network
from imdm.params import Chain, Dictionary, KeyedWords, Rectify, SmallNetwork, Synthetic
from imdm.params.base import CARRIED_BITS
from imdm.sampling.sampler import sample

# Of each student: mask kind, which rectification it gets, and how its teacher draws.
MODELS = {
    "mdm": ("single", "random", "independent"),
    "imdm": ("infinite", "random", "independent"),
    "imdm-driven": ("infinite", "driven", "from_noise_in_order"),
    "imdm-driven-any-order": ("infinite", "driven", "from_noise"),
}
_TEACHER_STEPS = 1024  # a row needs no more calls than it has letters; more steps, fewer simultaneous draws
_TEACHER_BATCH, _TEACHER_LR = 128, 1e-3
# Without them a reverse KL from targets that know what to write can throw a keyed student into a corner that it does not leave.
_KEYED_WARMUP, _KEYED_CLIP = 50, 1.0


def rectification(settings: Synthetic | Dictionary | Chain, model: str) -> Rectify:
    """How one of MODELS is rectified."""
    return settings.driven if MODELS[model][1] == "driven" else settings.random


def build(sizes: SmallNetwork, language: Language, seed: int, **mask: Any) -> Network:
    """A network for a task's sequences; `mask` are settings of the mask states."""
    torch.manual_seed(root_seed(seed, "weights"))
    config = NetworkConfig(
        hidden_size=sizes.hidden_size,
        blocks=sizes.blocks,
        heads=2,
        cond_dim=sizes.hidden_size,
        dropout=0.0,
        vocab_size=language.vocab_size,
        mask_id=language.letters,
        seq_len=language.length,
        learned_positions=sizes.learned_positions,
        **mask,
    )
    return Network(config)


def train(network: Network, lr: float, steps: int, loss: Callable[[int], Tensor], warmup: int = 0, clip: float = math.inf) -> Network:
    """AdamW with a cosine rate from `lr` to 0, after a linear warmup, and gradients of at most the norm `clip`; returns the
    network in eval mode."""
    optimizer = torch.optim.AdamW(network.parameters(), lr, weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps - warmup)
    if warmup:
        rise = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / warmup, total_iters=warmup)
        schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, schedule], [warmup])
    network.train()
    for step in range(steps):
        optimizer.zero_grad()
        loss(step).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
        optimizer.step()
        schedule.step()
    return network.eval()


def train_teacher(sizes: SmallNetwork, language: Language, seed: int) -> Network:
    """An MDM trained on the task's sequences."""
    network, draws = build(sizes, language, seed, mask="single"), root_seed(seed, "teacher")

    def loss(step: int) -> Tensor:
        x = language.batch(draws, step, _TEACHER_BATCH)
        return nelbo(network, forward_process(x, draws, step, 0, _TEACHER_BATCH, language.vocab_size))

    return train(network, _TEACHER_LR, sizes.teacher_steps, loss)


def couplings(network: Network, language: Language, count: int, draws: str, seed: int) -> tuple[Tensor, Tensor]:
    """Full-mask couplings of the teacher.

    Args:
        draws: as in `sample`.

    Returns:
        (states z int64 [count, L], completions x int64 [count, L]).
    """
    seeds = row_seeds(root_seed(seed, f"pairs:{draws}"), 0, count)
    x = sample(network, seeds, _TEACHER_STEPS, draws=draws).tokens
    return initial_masks(seeds, language.length, language.vocab_size), x


def train_student(
    sizes: SmallNetwork, language: Language, model: str, how: Rectify, teacher: Network, pairs: tuple[Tensor, Tensor], seed: int
) -> Network:
    """Train one of MODELS, from the teacher's weights, to answer each coupling's states with its completion in one step.

    With how.levels `all` the states are masked anew in each step at stratified times, with the pair's own keys, and the
    loss is weighted by 1/t, as ReDi does with full-mask couplings.
    """
    z, x = pairs
    network = build(sizes, language, seed, mask=MODELS[model][0], noise_dim=how.noise_dim, noise_scale=how.noise_scale)
    share_weights(network, teacher)
    root = root_seed(seed, "rectify")
    generator = torch.Generator().manual_seed(root)
    positions = torch.arange(how.batch_size * language.length)

    def loss(step: int) -> Tensor:
        index = torch.randint(len(z), (how.batch_size,), generator=generator)
        if how.levels == "full":
            return torch.nn.functional.cross_entropy(network(z[index], positions), x[index].flatten())
        t = stratified_times(uniform(bits(torch.tensor(root), Stream.LEVEL, step)), how.batch_size)
        rows = row_seeds(root, step * how.batch_size, how.batch_size)
        masked = uniform(bits(rows[:, None], Stream.MASK, torch.arange(language.length))) < mask_probability(t)[:, None]
        batch = Noised(torch.where(masked, z[index], x[index]), x[index], masked.flatten().nonzero().squeeze(1), t)
        return nelbo(network, batch)

    return train(network, how.lr, how.steps, loss)


def train_keyed(sizes: SmallNetwork, language: Language, how: KeyedWords, teacher: Network, seed: int) -> Network:
    """Train a keyed student of `teacher`, with fresh noise in every step; half of each batch is all masked."""
    frozen = build(sizes, language, seed, mask="infinite", noise_dist="rademacher", noise_dim=CARRIED_BITS).eval()
    share_weights(frozen, teacher)
    network, root, count = keyed_student(frozen), root_seed(seed, "keyed"), how.batch_size

    def loss(step: int) -> Tensor:
        x = language.batch(root, step, count)
        batch = keyed_batch(x, root, step, 0, count, count // 2, language.vocab_size)
        return keyed_loss(network, frozen, batch, how.teacher_steps, "reverse_kl")

    return train(network, how.lr, how.steps, loss, min(_KEYED_WARMUP, how.steps // 2), _KEYED_CLIP)
