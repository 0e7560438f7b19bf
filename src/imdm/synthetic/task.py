"""Models of the synthetic tasks: a teacher MDM of words, and students rectified on its couplings (paper Sec. 5.2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from imdm.diffusion.counter import Stream, bits, root_seed, row_seeds, uniform
from imdm.diffusion.nelbo import Noised, forward_process
from imdm.diffusion.noise import noise
from imdm.diffusion.schedule import mask_probability, stratified_times
from imdm.diffusion.states import initial_masks, key_of
from imdm.models.checkpoint import share_weights
from imdm.models.config import NetworkConfig
from imdm.models.dit import Network
from imdm.models.head_loss import nelbo
from imdm.params import Dictionary, Rectify, SmallNetwork, Synthetic
from imdm.sampling.sampler import sample
from imdm.synthetic.words import Words

# Of each student: mask kind, which rectification it gets, and how its teacher draws.
MODELS = {
    "mdm": ("single", "random", "independent"),
    "imdm": ("infinite", "random", "independent"),
    "imdm-driven": ("infinite", "driven", "from_noise_in_order"),
    "imdm-driven-any-order": ("infinite", "driven", "from_noise"),
}
_TEACHER_STEPS = 1024  # a row needs no more calls than it has letters; more steps, fewer simultaneous draws
_TEACHER_BATCH, _TEACHER_LR = 128, 1e-3
_NEUTRAL_TRIALS = 64


def rectification(settings: Synthetic | Dictionary, model: str) -> Rectify:
    """How one of MODELS is rectified."""
    return settings.driven if MODELS[model][1] == "driven" else settings.random


def build(sizes: SmallNetwork, words: Words, seed: int, **mask: Any) -> Network:
    """A network for words; `mask` are settings of the mask states."""
    torch.manual_seed(root_seed(seed, "weights"))
    config = NetworkConfig(
        hidden_size=sizes.hidden_size,
        blocks=sizes.blocks,
        heads=2,
        cond_dim=sizes.hidden_size,
        dropout=0.0,
        vocab_size=words.vocab_size,
        mask_id=words.letters,
        seq_len=words.length,
        learned_positions=sizes.learned_positions,
        **mask,
    )
    return Network(config)


def train(network: Network, lr: float, steps: int, loss: Callable[[int], Tensor]) -> Network:
    """AdamW with a cosine rate from `lr` to 0; returns the network in eval mode."""
    optimizer = torch.optim.AdamW(network.parameters(), lr, weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    network.train()
    for step in range(steps):
        optimizer.zero_grad()
        loss(step).backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def teacher(sizes: SmallNetwork, words: Words, seed: int) -> Network:
    """An MDM trained on the words, each as often as the others."""
    network, draws = build(sizes, words, seed, mask="single"), root_seed(seed, "teacher")

    def loss(step: int) -> Tensor:
        # Times are in the order of the rows; the shift brings every word to every time.
        x = words.table[(torch.arange(_TEACHER_BATCH) + 2 * step) % len(words)]
        batch = forward_process(x, draws, step, 0, _TEACHER_BATCH, words.vocab_size)
        return nelbo(network, batch)

    return train(network, _TEACHER_LR, sizes.teacher_steps, loss)


def couplings(network: Network, words: Words, how: Rectify, draws: str, seed: int) -> tuple[Tensor, Tensor]:
    """Full-mask couplings of the teacher with equally many near each word, as far as twice as many completions hold them.

    A completion counts for the word that it is nearest to; its errors are passed on, as on text. Balanced, since a few
    hundred random outcomes of {00, 11} miss 50:50 by several percent, which the student would copy.

    Returns:
        (states z int64 [n, L], completions x int64 [n, L]); n is at most how.pairs.
    """
    seeds = row_seeds(root_seed(seed, f"pairs:{draws}"), 0, 2 * how.pairs)
    x = sample(network, seeds, _TEACHER_STEPS, draws=draws).tokens
    index = words.nearest(x)
    outcomes = [(index == word).nonzero().squeeze(1) for word in range(len(words))]
    z, count = initial_masks(seeds, words.length, words.vocab_size), how.pairs // len(words)
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


def student(sizes: SmallNetwork, words: Words, model: str, how: Rectify, source: Network, seed: int) -> Network:
    """Train one of MODELS, from the teacher's weights, to answer each coupling's states with its completion in one step.

    With how.levels `all` the states are masked anew in each step at stratified times, with the pair's own keys, and the
    loss is weighted by 1/t, as ReDi does with full-mask couplings.
    """
    mask, _, draws = MODELS[model]
    z, x = couplings(source, words, how, draws, seed)
    network = build(sizes, words, seed, mask=mask, noise_dim=how.noise_dim, noise_scale=how.noise_scale)
    share_weights(network, source)
    root = root_seed(seed, "rectify")
    generator = torch.Generator().manual_seed(root)
    positions = torch.arange(how.batch_size * words.length)

    def loss(step: int) -> Tensor:
        index = torch.randint(len(z), (how.batch_size,), generator=generator)
        if how.levels == "full":
            return torch.nn.functional.cross_entropy(network(z[index], positions), x[index].flatten())
        t = stratified_times(uniform(bits(torch.tensor(root), Stream.LEVEL, step)), how.batch_size)
        rows = row_seeds(root, step * how.batch_size, how.batch_size)
        masked = uniform(bits(rows[:, None], Stream.MASK, torch.arange(words.length))) < mask_probability(t)[:, None]
        batch = Noised(torch.where(masked, z[index], x[index]), x[index], masked.flatten().nonzero().squeeze(1), t)
        return nelbo(network, batch)

    return train(network, how.lr, how.steps, loss)
