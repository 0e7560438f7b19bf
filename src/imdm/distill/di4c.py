"""Distillation to a mixture (Di4C): a student whose one step is a mixture of products over a latent.

Source: Hayakawa et al. (arXiv 2410.08709) and the loss of its public code for text (sony/di4c). All probabilities
are of the clean tokens x under a network, given the states z; m counts M latents, d the masked positions:

    p_m(x) = prod_d p_m(x_d)        a component, from the student at z_t with latent m
    p(x_d) = mean_m p_m(x_d)        marginals of the mixture
    C(x)   = log mean_m p_m(x) - sum_d log p(x_d)    how much likelier the mixture makes x than its marginals do

A step has one time t for the whole batch and, in nats a sequence,

    data         sum_d KL(teacher at z_t || p) - w sigmoid(20 (t - 1/2)) C(x_0),  x_0 the real text
    distillation mean_m sum_d KL(teacher at z_t || p_m),                          where t < small_time
    consistency  sum_d KL(q || p) - mean_i C(x^i),                                elsewhere

For the consistency term the teacher makes M ancestral steps z_t -> z_s^i of length dt; q is the mean over i of the
student's marginals at z_s^i, x^i a draw from them. KL and C split the cross-entropy of a mixture in its marginals,
which are known in full, and its correlation, which is sampled: a control variate. A visible position is the same token
in every distribution and contributes zero. A teacher that is itself a mixture stands for its marginals.
"""

from __future__ import annotations

import copy
import math
from functools import partial

import numpy as np
import torch
from torch import Tensor

from imdm.diffusion.counter import Stream, bits, root_seed, row_seeds, uniform
from imdm.diffusion.nelbo import Noised
from imdm.diffusion.posterior import unmask_probability
from imdm.diffusion.schedule import mask_probability
from imdm.diffusion.states import is_masked, mask_where
from imdm.distill.distillation import DistillTraining
from imdm.network.checkpoint import share_weights
from imdm.network.config import NetworkConfig
from imdm.network.network import NEVER, Network
from imdm.params import Di4c
from imdm.sampling.categorical import draw
from imdm.stage.device import send

_TEACHER, _STUDENT, _AFTER = range(3)  # network calls of a step: at z_t, at z_t, at z_s


def draw_time(seed: int, step: int, settings: Di4c) -> float:
    """The time t of a step's batch: below `small_time` or above it, then up to the next point of the grid i/T, i = 1..T.

    Where 1/T is not below `small_time`, no step distils; as in the public code, the rounded time decides.
    """
    below, u = (uniform(bits(torch.tensor(seed), Stream.LEVEL, step, which)).item() for which in range(2))
    small, grid = settings.small_time, settings.time_steps
    t = small * u if below < settings.small_time_share else small + (1 - small) * u
    return (min(math.floor(t * grid), grid - 1) + 1) / grid


def jump_length(t: float, time_steps: int) -> float:
    """dt, the length of the teacher's step from t: 1/T, or half of t at the last point of the grid."""
    return min(1 / time_steps, t / 2)


def latents(network: Network, seeds: Tensor, call: int, count: int) -> Tensor | None:
    """Latents of one network call of a training step, float64 [count, B]; None for a network without a latent."""
    if network.config.latent_hidden is None:
        return None
    return uniform(bits(seeds, Stream.LATENT, call, torch.arange(count, device=seeds.device)[:, None]))


def components(network: Network, z: Tensor, masked: Tensor, latent: Tensor | None) -> Tensor:
    """log p_m of the masked positions.

    Args:
        z: states [B, L], or [M, B, L] where they differ between latents.
        masked: flat indices into B*L, [n]; the same for all latents.
        latent: [M, B]; None for a network without a latent, which is a mixture of one component.

    Returns:
        [M, n, V].
    """
    count, (rows, length) = 1 if latent is None else len(latent), z.shape[-2:]
    positions = torch.arange(count, device=z.device)[:, None] * (rows * length) + masked
    states = z.expand(count, rows, length).flatten(0, 1)
    logits = network(states, positions.flatten(), None if latent is None else latent.flatten())
    return torch.log_softmax(logits, dim=-1).unflatten(0, (count, len(masked)))


def log_mean(log_p: Tensor) -> Tensor:
    """log of the mean over the first dimension."""
    return log_p.logsumexp(0) - math.log(len(log_p))


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) in nats, summed over positions; both [n, V]."""
    return (log_p.exp() * (log_p - log_q)).sum()


def correlation(log_p: Tensor, marginals: Tensor, x: Tensor, rows: Tensor, count: int) -> Tensor:
    """C(x) = log mean_m prod_d p_m(x_d) / p(x_d) in nats; 0 with one latent.

    The ratio is taken position by position, so that the sums of log-probabilities of long sequences do not cancel.

    Args:
        log_p: components [M, n, V].
        marginals: their `log_mean`, [n, V].
        x: tokens [K, n] of K completions.
        rows: the sequence of each masked position, [n].
        count: B, number of sequences.

    Returns:
        [K, B].
    """
    index = x.T  # [n, K]
    ratio = log_p.gather(2, index.expand(len(log_p), -1, -1)) - marginals.gather(1, index)
    joint = ratio.new_zeros(len(log_p), count, len(x)).index_add(1, rows, ratio)
    return log_mean(joint).T


def jump(log_p: Tensor, batch: Noised, seeds: Tensor, dt: float, count: int) -> Tensor:
    """`count` ancestral steps z_t -> z_s of the teacher, s = t - dt; mask states that stay keep their keys.

    Args:
        log_p: the teacher's components at z_t, [count, n, V], or [1, n, V] for all alike.

    Returns:
        states [count, B, L].
    """
    length, number = batch.z.shape[1], torch.arange(count, device=seeds.device)[:, None]
    rows, columns = batch.masked // length, batch.masked % length
    chance = unmask_probability(batch.t, batch.t - dt)[rows]
    unmasked = uniform(bits(seeds[rows], Stream.SUBSTEP, 0, number, columns)) < chance
    u = uniform(bits(seeds[rows], Stream.SUBSTEP, 1, number, columns))
    which, position = unmasked.nonzero(as_tuple=True)
    z = batch.z.flatten().repeat(count, 1)
    z[which, batch.masked[position]] = draw(log_p.expand(count, -1, -1)[unmasked], u[unmasked])
    return z.view(count, *batch.z.shape)


def after_jump(student: Network, z: Tensor, batch: Noised, seeds: Tensor) -> Tensor:
    """log p of the student at z_s, one latent a jump: [M, n, V] at the positions that z_t masks.

    Positions that the jump unmasked have their token with probability 1.

    Args:
        z: states [M, B, L].
    """
    vocab = student.config.vocab_size
    log_p = components(student, z, batch.masked, latents(student, seeds, _AFTER, len(z)))
    token = z.flatten(1)[:, batch.masked]
    which, position = (~is_masked(token, vocab)).nonzero(as_tuple=True)
    log_p[which, position] = NEVER
    log_p[which, position, token[which, position]] = 0
    return log_p


def completions(log_p: Tensor, batch: Noised, seeds: Tensor) -> Tensor:
    """One draw of every masked position from each component [M, n, V]: tokens [M, n]."""
    rows, columns = batch.masked // batch.z.shape[1], batch.masked % batch.z.shape[1]
    tokens = []
    for number, component in enumerate(log_p):  # one at a time, since the draw is in float64
        tokens.append(draw(component, uniform(bits(seeds[rows], Stream.SUBSTEP, 2, number, columns))))
    return torch.stack(tokens)


def di4c_loss(student: Network, teacher: Network, batch: Noised, seeds: Tensor, settings: Di4c) -> Tensor:
    """The loss of a step: mean over sequences of data + (distillation or consistency), in nats a sequence.

    The student is trained at z_t and left in train mode; its targets at z_s are made in eval mode without gradient.

    Args:
        student: a network with a latent.
        teacher: in eval mode; an MDM, or the student of the round before.
        batch: z_t at one t, as `draw_time` gives it.
        seeds: int64 [B], of the latents and of the teacher's and the student's draws.
    """
    count, t, number = len(batch.z), batch.t[0].item(), settings.latents
    rows = batch.masked // batch.z.shape[1]
    consistent = t >= settings.small_time
    with torch.no_grad():
        by_teacher = components(teacher, batch.z, batch.masked, latents(teacher, seeds, _TEACHER, number))
        target = log_mean(by_teacher)
        if consistent:
            z_s = jump(by_teacher, batch, seeds, jump_length(t, settings.time_steps), number)
            after = after_jump(student.eval(), z_s, batch, seeds)
            goal, x = log_mean(after), completions(after, batch, seeds)
            del after
        del by_teacher

    log_p = components(student.train(), batch.z, batch.masked, latents(student, seeds, _STUDENT, number))
    marginals = log_mean(log_p)
    weight = settings.correlation_weight / (1 + math.exp(-20 * (t - 0.5)))
    loss = divergence(target, marginals) - weight * correlation(log_p, marginals, batch.targets[None], rows, count).sum()
    if consistent:
        loss = loss + divergence(goal, marginals) - correlation(log_p, marginals, x, rows, count).mean(0).sum()
    else:
        loss = loss + divergence(target, log_p.mean(0))
    return loss / count


def mixture_student(teacher: Network, latent_hidden: int, seed: int) -> Network:
    """A student with its teacher's weights; where the teacher is an MDM, with a latent projection of its own."""
    if teacher.config.latent_hidden is not None:
        return copy.deepcopy(teacher).requires_grad_(True)
    torch.manual_seed(root_seed(seed, "di4c"))
    student = Network(NetworkConfig(**teacher.config.model_dump() | {"latent_hidden": latent_hidden}))
    share_weights(student, teacher)
    return student


class Di4cTraining(DistillTraining):
    """A mixture student that learns from its teacher, from real text, and from itself a step later."""

    name = "di4c"
    settings: Di4c

    def __init__(self, student: Network, teacher: Network, settings: Di4c, round_number: int, seed: int, blocks: np.ndarray):
        super().__init__(student, teacher, settings, f"di4c:{round_number}", seed, blocks, round_number)

    def noised(self, x: Tensor, step: int, first: int) -> Noised:
        seeds = row_seeds(self.draws, step * self.settings.batch_size + first, len(x))
        t = torch.full((len(x),), draw_time(self.draws, step, self.settings), dtype=torch.float64)
        mask = uniform(bits(seeds[:, None], Stream.MASK, torch.arange(x.shape[1]))) < mask_probability(t)[:, None]
        return Noised(mask_where(x, mask, seeds, self.network.config.vocab_size), x, mask.flatten().nonzero().squeeze(1), t)

    def loss(self, step: int) -> Tensor:
        batch = self.batch(step).map(partial(send, device=self.device))
        return di4c_loss(self.network, self.teacher, batch, send(self.seeds(step), self.device), self.settings)
