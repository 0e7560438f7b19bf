"""The factorization error of the paper's Eq. 6 on text, estimated with a teacher, since sequences are too many to list.

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
- It is a sum of three parts, each a mean over x_S: the teacher's total correlation, log p_T(x_S) - sum_l log p_T(x_l), which
  no model with one mask removes (`correlation`); plus how far the model's single positions are from the teacher's,
  sum_l log p_T(x_l) - sum_l log mean_m p_theta(x_l) (`marginals`, no less than 0 but for chance); minus the dependence between
  positions that the noise brings, log mean_m prod_l - sum_l log mean_m (`dependence`, 0 with one mask; too low as above).
- The teacher's own errors are in all models' numbers alike. Contexts are real text, not the model's own. The order of the
  teacher's steps is random, so p_T is that order's joint; an exact teacher's would not depend on it.
- Draws are common: for all models the same blocks, positions, orders and x_S, so that differences have less variance
  than the errors themselves.

The N transitions of a step count follow one order of the block's positions, as the sampler draws it; their sum is
the error of N steps along real text, by the chain rule an error of whole paths, with each position written once.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from imdm.diffusion.counter import Stream, bits, uniform
from imdm.diffusion.states import mask_where
from imdm.errors import UserError
from imdm.network.config import NetworkConfig
from imdm.network.network import Network
from imdm.params import Factorization
from imdm.sampling.categorical import draw
from imdm.sampling.plan import unmasking_steps
from imdm.scoring.bootstrap import mean_interval

PARTS = ("correlation", "marginals", "dependence")


def check_teacher(config: NetworkConfig, origin: str) -> None:
    """Refuse a teacher whose conditionals depend on noise. Raises UserError: it has noise or a latent."""
    if noisy(config):
        raise UserError(f"{origin} has noise or a latent, so its joint is no chain of its outputs; give a --teacher with a single mask.")


def check_density(config: NetworkConfig, origin: str) -> None:
    """Refuse a student of keyed distillation: its noise decides the text, which has no density given it. Raises UserError: it is one."""
    if config.draws != "independent":
        raise UserError(f"{origin} is sampled from its noise, so its step has no factorization error; give a --model of another recipe.")


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


def one_step(network: Network, x: Tensor, masked: Tensor, chosen: Tensor, tokens: Tensor, seeds: Tensor, draws: int) -> Tensor:
    """log-probabilities of `tokens` in one step from x with fresh mask states at `masked`, given each of M noise draws.

    Args:
        chosen: flat indices into B*L, int64 [n].
        tokens: int64 [n].
        seeds: int64 [B], of the noise.
        draws: M; a network without noise gets one.

    Returns:
        float64 [n, M].
    """
    columns = []
    for m in range(draws if noisy(network.config) else 1):
        own = bits(seeds, Stream.FRESH, m)
        latent = uniform(bits(own, Stream.LATENT)) if network.config.latent_hidden is not None else None
        columns.append(_log_probabilities(network(mask_where(x, masked, own, network.config.vocab_size), chosen, latent), tokens))
    return torch.stack(columns, 1)


def noisy(config: NetworkConfig) -> bool:
    """Whether one step depends on more than the visible tokens."""
    return config.mask != "single" or config.latent_hidden is not None


def log_mean_exp(values: Tensor, size: int) -> Tensor:
    """log of the mean of exp over groups of `size` of [n, M] values, averaged over the M // size groups: [n]."""
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
        errors: [B, len(sizes)], all columns equal for a student without noise; correlation, marginals and dependence, the
        parts of its last column, and joint, log p_T: [B]. All float64.
    """
    vocab, length = student.config.vocab_size, x.shape[1]
    positions = torch.arange(length, device=x.device)
    order = uniform(bits(seeds[:, None], Stream.UNMASK, positions))
    u = uniform(bits(seeds[:, None], Stream.TOKEN, positions))
    at = unmasking_steps(order, steps)
    zeros = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    sums = {"errors": zeros[:, None].repeat(1, len(sizes))} | {name: zeros.clone() for name in PARTS} | {"joint": zeros.clone()}
    for step in range(steps):
        now, masked = at == step, at >= step
        rows = now.any(1).nonzero().squeeze(1)
        if not len(rows):
            continue
        now, masked, start, own = now[rows], masked[rows], x[rows], bits(seeds[rows], Stream.SUBSTEP, step)
        after, joint = chain_draws(teacher, mask_where(start, masked, own, vocab), now, order[rows], u[rows])
        chosen = now.flatten().nonzero().squeeze(1)
        about = (start, masked, chosen, after.flatten()[chosen], own)

        def of_rows(values: Tensor, chosen: Tensor = chosen, count: int = len(rows)) -> Tensor:
            """Sum over the positions of each row."""
            return values.new_zeros(count, *values.shape[1:]).index_add(0, chosen // length, values)

        taught, made = one_step(teacher, *about, 1), one_step(student, *about, sizes[-1])
        alone, single = of_rows(taught).squeeze(1), of_rows(log_mean_exp(made, made.shape[1]))
        models = [log_mean_exp(of_rows(made), min(size, made.shape[1])) for size in sizes]
        nats = {"errors": joint[:, None] - torch.stack(models, 1), "joint": joint}
        nats |= {"correlation": joint - alone, "marginals": alone - single, "dependence": models[-1] - single}
        for name, value in nats.items():
            sums[name][rows] += value
    return sums


def sequence_frame(errors: dict[str, np.ndarray], settings: Factorization) -> pd.DataFrame:
    """One line a step count and sequence: nats of a sequence by error_mM for each number M of noise draws, and the parts.

    Args:
        errors: `path_errors` of each step count N, named N.NAME, as numpy arrays.
    """
    frames = []
    for n in settings.steps:
        columns = {f"error_m{m}": errors[f"{n}.errors"][:, place] for place, m in enumerate(settings.noise_draws)}
        columns |= {name: errors[f"{n}.{name}"] for name in (*PARTS, "joint")}
        frames.append(pd.DataFrame({"steps": n, "sequence": range(settings.sequences)} | columns))
    return pd.concat(frames, ignore_index=True)


def error_records(frame: pd.DataFrame, length: int, settings: Factorization, seed: int) -> list[dict]:
    """Means of every column in nats per written token, and of the error per sequence, with 95% bootstrap intervals over sequences.

    Args:
        frame: of `sequence_frame`.
        length: L; along a path each position is written once.
    """
    final = f"error_m{settings.noise_draws[-1]}"
    records = []
    for steps, group in frame.groupby("steps", sort=False):
        for column in frame.columns.drop(["steps", "sequence", "joint"]):
            values = group[column].to_numpy()
            low, high = mean_interval(values, settings.bootstrap, seed)
            for unit, scale in (("token", length), ("sequence", 1))[: 2 if column == final else 1]:
                figure = {"value": values.mean() / scale, "low": low / scale, "high": high / scale}
                records.append({"steps": int(steps), "metric": f"{column}_nats_per_{unit}"} | {key: float(v) for key, v in figure.items()})
    return records
