"""An estimate of the factorization error on sequences that are too many to list.

A transition from t to s writes the positions S in one step. Its true joint, which Eq. 6 compares with, is taken from a
teacher by the chain rule: it writes the same positions one at a time, in random order, each with all before it in place.
On x_S drawn so,

    log p_T(x_S | z_t) - log 1/M sum_m prod_{l in S} p_theta(x_l | z_t, noise_m)

has, over x_S, the mean KL(p_T || mean over M noises of the product). Its properties:

- With one mask there is no noise, and the estimate is unbiased: KL(joint || product), Eq. 6 with p_T for p. For the
  teacher itself it is the total correlation of what it writes in one step. It has no negative mean, but single terms may.
- With noise, the logarithm of a mean over M draws lies below that of the full mean, on average (Jensen): the estimate is
  too high and falls with M, to KL(p_T || model). M = 1 is the product given the noise; the fall from there to the largest M
  is a lower bound of what the noise buys. Positions |S| or a sharp student need many draws, so compare several M.
- The teacher's own errors are in all models' numbers alike. Contexts are real text, not the model's own. The order of the
  teacher's steps is random, so p_T is that order's joint; an exact teacher's would not depend on it.
- Draws are common: for all models the same blocks, positions, orders and x_S, so that differences have less variance
  than the errors themselves.

The N transitions of a step count follow one order of the block's positions, as the sampler draws it; their sum is
the error of N steps along real text, by the chain rule an error of whole paths, with each position written once.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from imdm.diffusion.counter import Stream, bits, uniform
from imdm.diffusion.states import mask_where
from imdm.errors import UserError
from imdm.models.config import NetworkConfig
from imdm.models.dit import Network
from imdm.sampling.categorical import draw
from imdm.sampling.sampler import unmasking_steps


def check_teacher(config: NetworkConfig, origin: str) -> None:
    """Refuse a teacher whose conditionals depend on noise.

    Raises:
        UserError: it has noise or a latent.
    """
    if config.mask != "single" or config.latent_hidden is not None:
        raise UserError(f"{origin} has noise or a latent, so its joint is no chain of its outputs; give a --teacher with a single mask.")


def _log_probabilities(logits: Tensor, tokens: Tensor) -> Tensor:
    return torch.log_softmax(logits.double(), -1).gather(1, tokens[:, None]).squeeze(1)


def chain_draws(teacher: Network, z: Tensor, now: Tensor, order: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens that the teacher writes at `now` one at a time, and the logarithm of their joint probability.

    Args:
        z: states int64 [B, L].
        now: which positions, bool [B, L]; masked in z.
        order: positions are written by ascending order, float64 [B, L].
        u: uniforms of the draws, float64 [B, L].

    Returns:
        states with the tokens in place [B, L], float64 [B] in nats.
    """
    z, total = z.clone(), torch.zeros(len(z), dtype=torch.float64, device=z.device)
    sequence, counts = torch.where(now, order, math.inf).argsort(1), now.sum(1)
    for place in range(int(counts.max())):
        rows = (counts > place).nonzero().squeeze(1)
        at = sequence[rows, place]
        logits = teacher(z[rows], torch.arange(len(rows), device=z.device) * z.shape[1] + at)
        tokens = draw(logits, u[rows, at])
        total[rows] += _log_probabilities(logits, tokens)
        z[rows, at] = tokens
    return z, total


def product_log_probability(student: Network, z: Tensor, now: Tensor, tokens: Tensor, latent: Tensor | None) -> Tensor:
    """log of the product over `now` of the student's probabilities of `tokens` in one step, given its noise: float64 [B]."""
    chosen = now.flatten().nonzero().squeeze(1)
    found = _log_probabilities(student(z, chosen, latent), tokens.flatten()[chosen])
    return torch.zeros(len(z), dtype=torch.float64, device=z.device).index_add(0, chosen // z.shape[1], found)


def log_mean_exp(values: Tensor, size: int) -> Tensor:
    """log of the mean of exp over groups of `size` of [B, M] values, averaged over the M // size groups: [B]."""
    groups = values.unflatten(1, (-1, size))
    return (groups.logsumexp(-1) - math.log(size)).mean(-1)


@torch.inference_mode()
def path_errors(teacher: Network, student: Network, x: Tensor, seeds: Tensor, steps: int, sizes: list[int]) -> dict[str, Tensor]:
    """Sums over the N transitions of a path along each real sequence, in nats.

    Args:
        x: real tokens int64 [B, L].
        seeds: int64 [B]; every draw is a function of them, so that rows do not depend on their batch.
        sizes: numbers M of noise draws, each a divisor of the last.

    Returns:
        joint: log p_T [B]; errors: KL terms [B, len(sizes)], all columns equal for a student without noise; float64.
    """
    config, length = student.config, x.shape[1]
    positions = torch.arange(length, device=x.device)
    order = uniform(bits(seeds[:, None], Stream.UNMASK, positions))
    u = uniform(bits(seeds[:, None], Stream.TOKEN, positions))
    at = unmasking_steps(order, steps)
    noisy = config.mask != "single" or config.latent_hidden is not None
    joint = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    errors = torch.zeros(len(x), len(sizes), dtype=torch.float64, device=x.device)
    for step in range(steps):
        now, masked = at == step, at >= step
        rows = now.any(1).nonzero().squeeze(1)
        if not len(rows):
            continue
        now, masked, start = now[rows], masked[rows], x[rows]
        z = mask_where(start, masked, seeds[rows], config.vocab_size)
        written, found = chain_draws(teacher, z, now, order[rows], u[rows])
        products = []
        for m in range(sizes[-1] if noisy else 1):
            own = bits(seeds[rows], Stream.FRESH, step, m)
            latent = uniform(bits(own, Stream.LATENT)) if config.latent_hidden is not None else None
            products.append(product_log_probability(student, mask_where(start, masked, own, config.vocab_size), now, written, latent))
        products = torch.stack(products, 1)
        joint[rows] += found
        errors[rows] += torch.stack([found - log_mean_exp(products, min(size, products.shape[1])) for size in sizes], 1)
    return {"joint": joint, "errors": errors}
