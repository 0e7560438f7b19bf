"""The networks of the synthetic tasks: a teacher MDM, and students of it (paper Sec. 5.2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from imdm.diffusion.counter import Stream, bits, root_seed, row_seeds, uniform
from imdm.diffusion.nelbo import Noised, forward_process
from imdm.diffusion.noise import noise
from imdm.diffusion.schedule import mask_probability, stratified_times
from imdm.diffusion.states import initial_masks, key_of
from imdm.distill.keyed import keyed_batch, keyed_loss, keyed_student
from imdm.languages.markov import MarkovChain
from imdm.languages.words import Words
from imdm.network.checkpoint import share_weights
from imdm.network.config import NetworkConfig
from imdm.network.head_loss import nelbo
from imdm.network.network import Network
from imdm.params import Chain, Dictionary, KeyedWords, Rectify, Task
from imdm.params.base import CARRIED_BITS
from imdm.sampling.sampler import sample

Language = Words | MarkovChain  # letters (the mask token is the next id), length, vocab_size and batch(seed, step, count)


class Rectified(NamedTuple):
    """A kind of rectified student: its mask, which settings of the task it gets, how its teacher draws, and whether pairs are chosen."""

    mask: str
    settings: str
    draws: str
    balanced: bool = True


RECTIFIED = {
    "mdm": Rectified("single", "random", "independent"),
    "imdm": Rectified("infinite", "random", "independent"),
    "imdm-plain": Rectified("infinite", "random", "independent", balanced=False),
    "imdm-driven": Rectified("infinite", "driven", "from_noise_in_order"),
    "imdm-driven-any-order": Rectified("infinite", "driven", "from_noise"),
}
_TEACHER_STEPS = 1024  # a row needs no more calls than it has letters; more steps, fewer simultaneous draws
_TEACHER_BATCH, _TEACHER_LR = 128, 1e-3
# Without them a reverse KL from targets that know what to write can throw a keyed student into a corner that it does not leave.
_KEYED_WARMUP, _KEYED_CLIP = 50, 1.0
_NEUTRAL_TRIALS = 64


def rectification(task: Task, name: str) -> Rectify:
    """The settings of one of RECTIFIED."""
    return task.driven if RECTIFIED[name].settings == "driven" else task.random


def build(task: Task, language: Language, seed: int, **mask: Any) -> Network:
    """A network for a task's sequences; `mask` are settings of the mask states."""
    torch.manual_seed(root_seed(seed, "weights"))
    config = NetworkConfig(
        hidden_size=task.hidden_size,
        blocks=task.blocks,
        heads=2,
        cond_dim=task.hidden_size,
        dropout=0.0,
        vocab_size=language.vocab_size,
        mask_id=language.letters,
        seq_len=language.length,
        learned_positions=task.learned_positions,
        **mask,
    )
    return Network(config)


def train(network: Network, lr: float, steps: int, loss: Callable[[int], Tensor], warmup: int = 0, clip: float = math.inf) -> Network:
    """AdamW with a linear warmup to `lr`, a cosine to 0 and gradients of at most the norm `clip`; returns it in eval mode."""
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


def train_teacher(task: Task, language: Language, seed: int) -> Network:
    """An MDM trained on the task's sequences."""
    network, draws = build(task, language, seed, mask="single"), root_seed(seed, "teacher")

    def loss(step: int) -> Tensor:
        x = language.batch(draws, step, _TEACHER_BATCH)
        return nelbo(network, forward_process(x, draws, step, 0, _TEACHER_BATCH, language.vocab_size))

    return train(network, _TEACHER_LR, task.teacher_steps, loss)


def train_student(task: Task, language: Language, name: str, teacher: Network, seed: int) -> Network:
    """A student by its name in the parameters: `keyed`, or one of RECTIFIED; it starts with the teacher's weights."""
    if name == "keyed":
        assert isinstance(task, Dictionary | Chain)
        return _keyed(task, language, task.keyed, teacher, seed)
    settings, kind = rectification(task, name), RECTIFIED[name]
    draws = kind.draws
    if isinstance(language, Words) and settings.balanced and kind.balanced:
        pairs = _balanced_couplings(teacher, language, draws, settings, seed)
    else:
        pairs = _couplings(teacher, language, settings.pairs, draws, seed)
    return _rectified(task, language, kind.mask, settings, teacher, pairs, seed)


def _couplings(teacher: Network, language: Language, count: int, draws: str, seed: int) -> tuple[Tensor, Tensor]:
    """Full-mask couplings: states z int64 [count, L], the teacher's completions x int64 [count, L]; `draws` as in `sample`."""
    seeds = row_seeds(root_seed(seed, f"pairs:{draws}"), 0, count)
    x = sample(teacher, seeds, _TEACHER_STEPS, draws=draws).tokens
    return initial_masks(seeds, language.length, language.vocab_size), x


def _balanced_couplings(teacher: Network, words: Words, draws: str, settings: Rectify, seed: int) -> tuple[Tensor, Tensor]:
    """At most `settings.pairs` couplings, equally many near each word, as far as twice as many completions hold them.

    A completion counts for the word that it is nearest to; its errors are passed on, as on text. Balanced, since a few
    hundred random outcomes of {00, 11} miss 50:50 by several percent, which the student would copy.
    """
    z, x = _couplings(teacher, words, 2 * settings.pairs, draws, seed)
    nearest = words.nearest(x)
    outcomes = [(nearest == word).nonzero().squeeze(1) for word in range(len(words))]
    count = settings.pairs // len(words)
    if draws == "independent":
        eps = noise(key_of(z, words.vocab_size), settings.noise_dim).flatten(1)
        chosen = _neutral(eps, outcomes, count, root_seed(seed, "neutral"))
    else:
        chosen = torch.cat([group[:count] for group in outcomes])
    return z[chosen], x[chosen]


def _neutral(eps: Tensor, outcomes: list[Tensor], count: int, seed: int) -> Tensor:
    """Of some random sets with `count` of each outcome, the one whose noise `eps` [n, d] favours none.

    What a student makes of n random pairs is nearly a linear rule in the words' mean noises, whose thresholds depend on
    the norms of those means. For {00, 11} it lies off zero by 1/sqrt(n) standard deviations at random, which would show
    as an unbalanced token marginal: 0.69 nats would be missed by about every tenth seed.
    """
    generator = torch.Generator().manual_seed(seed)
    best, least = None, math.inf
    for _ in range(_NEUTRAL_TRIALS):
        chosen = [group[torch.randperm(len(group), generator=generator)[:count]] for group in outcomes]
        norms = torch.stack([eps[group].mean(0).square().sum() for group in chosen if len(group)])
        offset = (norms.max() - norms.min()).item()
        if offset < least:
            best, least = torch.cat(chosen), offset
    return best


def _rectified(
    task: Task, language: Language, mask: str, settings: Rectify, teacher: Network, pairs: tuple[Tensor, Tensor], seed: int
) -> Network:
    """A student that answers each coupling's states with its completion in one step.

    With settings.levels `all` the states are masked anew in each step at stratified times, with the pair's own keys, and the
    loss is weighted by 1/t, as ReDi does with full-mask couplings.
    """
    z, x = pairs
    network = build(task, language, seed, mask=mask, noise_dim=settings.noise_dim)
    share_weights(network, teacher)
    root, count = root_seed(seed, "rectify"), settings.batch_size
    generator = torch.Generator().manual_seed(root)
    positions = torch.arange(count * language.length)

    def loss(step: int) -> Tensor:
        index = torch.randint(len(z), (count,), generator=generator)
        if settings.levels == "full":
            return torch.nn.functional.cross_entropy(network(z[index], positions), x[index].flatten())
        t = stratified_times(uniform(bits(torch.tensor(root), Stream.LEVEL, step)), count)
        rows = row_seeds(root, step * count, count)
        masked = uniform(bits(rows[:, None], Stream.MASK, torch.arange(language.length))) < mask_probability(t)[:, None]
        return nelbo(network, Noised(torch.where(masked, z[index], x[index]), x[index], masked.flatten().nonzero().squeeze(1), t))

    return train(network, settings.lr, settings.steps, loss)


def _keyed(task: Task, language: Language, settings: KeyedWords, teacher: Network, seed: int) -> Network:
    """A keyed student of the teacher, with fresh noise in every step; half of each batch is all masked."""
    signs = build(task, language, seed, mask="infinite", noise_dist="rademacher", noise_dim=CARRIED_BITS).eval()
    share_weights(signs, teacher)
    network, root, count = keyed_student(signs), root_seed(seed, "keyed"), settings.batch_size

    def loss(step: int) -> Tensor:
        x = language.batch(root, step, count)
        batch = keyed_batch(x, root, step, 0, count, count // 2, language.vocab_size)
        return keyed_loss(network, signs, batch, settings.teacher_steps, "reverse_kl")

    return train(network, settings.lr, settings.steps, loss, min(_KEYED_WARMUP, settings.steps // 2), _KEYED_CLIP)
