"""Models of the {00, 11} task: a teacher MDM, and students rectified on its couplings (paper Sec. 5.2)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from imdm.diffusion.counter import root_seed, row_seeds
from imdm.diffusion.nelbo import forward_process
from imdm.diffusion.noise import noise
from imdm.diffusion.states import initial_masks, key_of
from imdm.models.checkpoint import share_weights
from imdm.models.config import NetworkConfig
from imdm.models.dit import Network
from imdm.models.head_loss import nelbo
from imdm.params import Rectify, Synthetic
from imdm.sampling.sampler import sample

LENGTH, VOCAB, MASK_ID = 2, 3, 2
_TEACHER_STEPS = 1024  # a row needs two network calls whatever this is; more steps, fewer simultaneous draws


_TEACHER_BATCH, _TEACHER_LR = 128, 1e-3
_NEUTRAL_TRIALS = 64


def build(settings: Synthetic, rectify: Rectify, mask: str, seed: int) -> Network:
    """A network for two binary tokens."""
    torch.manual_seed(root_seed(seed, "weights"))
    config = NetworkConfig(
        hidden_size=settings.hidden_size,
        blocks=settings.blocks,
        heads=2,
        cond_dim=settings.hidden_size,
        dropout=0.0,
        mask=mask,
        noise_dim=rectify.noise_dim,
        noise_scale=rectify.noise_scale,
        vocab_size=VOCAB,
        mask_id=MASK_ID,
        seq_len=LENGTH,
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


def teacher(settings: Synthetic, seed: int) -> Network:
    """An MDM trained on 00 and 11, each with probability 1/2."""
    network, draws = build(settings, settings.random, "single", seed), root_seed(seed, "teacher")

    def loss(step: int) -> Tensor:
        x = torch.arange(_TEACHER_BATCH)[:, None].expand(-1, LENGTH) % 2
        batch = forward_process(x, draws, step, 0, _TEACHER_BATCH, VOCAB)
        return nelbo(network, batch)

    return train(network, _TEACHER_LR, settings.teacher_steps, loss)


def couplings(network: Network, how: Rectify, draws: str, seed: int) -> tuple[Tensor, Tensor]:
    """Full-mask couplings of the teacher with equally many of each outcome.

    Balanced, since a few hundred random outcomes miss 50:50 by several percent, which the student would copy.

    Returns:
        (states z int64 [pairs, 2], completions x int64 [pairs, 2]).
    """
    seeds = row_seeds(root_seed(seed, f"pairs:{draws}"), 0, 2 * how.pairs)
    x = sample(network, seeds, _TEACHER_STEPS, draws=draws).tokens
    outcomes = [(x[:, 0] == token).nonzero().squeeze(1) for token in (0, 1)]
    z = initial_masks(seeds, LENGTH, VOCAB)
    if draws == "independent":
        chosen = _neutral(z, outcomes, how.pairs // 2, how.noise_dim, root_seed(seed, "neutral"))
    else:
        chosen = torch.cat([group[: how.pairs // 2] for group in outcomes])
    return z[chosen], x[chosen]


def _neutral(z: Tensor, outcomes: list[Tensor], count: int, noise_dim: int, seed: int) -> Tensor:
    """Of some random sets with `count` of each outcome, the one whose noise favours neither outcome.

    What a student makes of n random pairs is nearly a linear rule along the difference of the outcomes' mean noises;
    its threshold, their middle, lies off zero by 1/sqrt(n) standard deviations at random, which would show as an
    unbalanced token marginal: 0.69 nats would be missed by about every tenth seed.
    """
    eps = noise(key_of(z, VOCAB), noise_dim).flatten(1)
    generator = torch.Generator().manual_seed(seed)
    best, least = None, math.inf
    for _ in range(_NEUTRAL_TRIALS):
        picked = [group[torch.randperm(len(group), generator=generator)[:count]] for group in outcomes]
        zero, one = (eps[group].mean(0) for group in picked)
        offset = ((one + zero) @ (one - zero)).abs().item()
        if offset < least:
            best, least = torch.cat(picked), offset
    return best


def student(settings: Synthetic, how: Rectify, mask: str, draws: str, source: Network, seed: int) -> Network:
    """Train a student, from the teacher's weights, to answer each coupling's states with its completion in one step."""
    z, x = couplings(source, how, draws, seed)
    network = build(settings, how, mask, seed)
    share_weights(network, source)
    generator = torch.Generator().manual_seed(root_seed(seed, "rectify"))
    positions = torch.arange(how.batch_size * LENGTH)

    def loss(step: int) -> Tensor:
        index = torch.randint(len(z), (how.batch_size,), generator=generator)
        return torch.nn.functional.cross_entropy(network(z[index], positions), x[index].flatten())

    return train(network, how.lr, how.steps, loss)
