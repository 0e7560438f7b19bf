"""Keyed distillation: N teacher steps become one student step, because the student sees what the teacher draws with.

Its neighbours, and what is theirs, are in docs/method.md.

Tokens of a trajectory are read from its mask keys, and its order is fixed (`dilated_order`), so that the teacher's sampler is a
deterministic map from noise to text, as DDIM is for continuous diffusion. What a position's distribution is in its own step then
follows from the keys of all masked positions, and the student, which sees them as noise, learns it in one step. Of an order that
the student does not see it would learn the mean over orders: that says little of what a whole text agrees on, since any position
may have come first and decided it.

The target is the distribution before the position's own draw. It depends on the others' keys alone, and the student's
sampler draws from it with the position's own: what the student can't tell yet stays in the draw, in the teacher's
proportions, and with no use of the noise at all the student is its teacher. Keys are fresh in every step of training, so there
is no list of pairs that could be learnt by heart.
"""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import torch
from torch import Tensor

from imdm.data.blocks import token_counts
from imdm.diffusion.counter import Stream, bits, row_seeds, uniform
from imdm.diffusion.nelbo import Noised
from imdm.diffusion.schedule import stratified_times
from imdm.diffusion.states import is_masked, key_of, mask_where
from imdm.distill.distillation import DistillTraining, distillation_loss
from imdm.network.config import NetworkConfig
from imdm.network.network import Network
from imdm.params import Keyed
from imdm.sampling.categorical import draw_by_key
from imdm.sampling.plan import dilated_order, even_steps
from imdm.stage.device import send


def keyed_student(teacher: Network) -> Network:
    """A copy of the teacher that is sampled from its noise."""
    student = copy.deepcopy(teacher).requires_grad_(True)
    student.config = NetworkConfig(**teacher.config.model_dump() | {"draws": "from_noise_in_order"})
    return student


def keyed_batch(x: Tensor, root: int, step: int, first: int, count: int, whole: int, vocab_size: int) -> Noised:
    """Rows of a step's global batch as the sampler meets them: masked is what comes behind a place of the order.

    In every other row only a random part of it is masked, of a random share, since the other positions may be given.

    Args:
        x: clean tokens int64 [b, L], on the CPU: rows first .. first+b-1 of `count`.
        root: seed of the training's draws.
        whole: how many leading rows of the global batch are at t = 1; the others' times are stratified.
    """
    offset, length = uniform(bits(torch.tensor(root), Stream.LEVEL, step)), x.shape[1]
    t = torch.cat([torch.ones(whole, dtype=torch.float64), stratified_times(offset, count - whole)])[first : first + len(x)]
    seeds = row_seeds(root, step * count + first, len(x))
    share = uniform(bits(seeds, Stream.LEVEL)) * (torch.arange(first, first + len(x)) % 2)
    given = uniform(bits(seeds[:, None], Stream.MASK, torch.arange(length))) < share[:, None]
    masked = (dilated_order(length) >= (1 - t[:, None]) * length) & ~given
    return Noised(mask_where(x, masked, seeds, vocab_size), x, masked.flatten().nonzero().squeeze(1), t)


@torch.no_grad()
def keyed_rows(teacher: Network, batch: Noised, steps: int) -> Tensor:
    """The teacher's body output at each masked position in the step that unmasks it, of a trajectory read from the keys.

    Args:
        teacher: in eval mode.
        batch: of `keyed_batch`, on the CPU, where the number of positions of each step is needed.
        steps: N, of as many positions each.

    Returns:
        [n, d] in the order of `batch.masked`.
    """
    vocab = teacher.config.vocab_size
    at = even_steps(dilated_order(batch.z.shape[1]), is_masked(batch.z, vocab), steps).flatten()[batch.masked]
    by_step, sizes = at.argsort(stable=True), torch.bincount(at, minlength=steps).tolist()

    to_teacher = partial(send, device=teacher.vocab_embed.embedding.device)
    z, position, place = (to_teacher(x) for x in (batch.z.clone(), batch.masked[by_step], by_step.argsort()))
    states, outputs, first = z.view(-1), [], 0
    for step, size in enumerate(sizes):
        now = position[first : first + size]
        outputs.append(teacher.rows(z, now, masked=position[first:]))
        if step < steps - 1:
            states[now] = draw_by_key(teacher, outputs[-1], key_of(states[now], vocab))
        first += size
    return torch.cat(outputs)[place]


def keyed_loss(student: Network, teacher: Network, batch: Noised, steps: int, kind: str) -> Tensor:
    """`distillation_loss` from the teacher's N steps, as `keyed_rows` has them."""
    return distillation_loss(student, teacher, keyed_rows(teacher, batch, steps), batch, kind)


class KeyedTraining(DistillTraining):
    """A student that starts as its teacher and learns, from the keys alone, what several of its steps make of a block."""

    name = "keyed"
    settings: Keyed

    def __init__(self, student: Network, teacher: Network, settings: Keyed, seed: int, blocks: np.ndarray):
        super().__init__(student, teacher, settings, "keyed", seed, blocks)
        if student.config.mask == "gumbel":
            counts = token_counts(blocks, student.config.vocab_size) + 1.0
            counts[student.config.mask_id] = 0
            for network in (student, teacher):  # what the teacher draws with is what the student sees
                network.candidates.proposal.copy_(torch.from_numpy(counts / counts.sum()))
            teacher.candidates.read = any(bool(weight.any()) for weight in teacher.candidates.outputs.parameters())

    def noised(self, x: Tensor, step: int, first: int) -> Noised:
        count = self.settings.batch_size
        whole = round(self.settings.from_start * count)
        return keyed_batch(x, self.draws, step, first, count, whole, self.network.config.vocab_size)

    def loss(self, step: int) -> Tensor:
        batch, settings = self.batch(step), self.settings
        return self.weight(batch, step) * keyed_loss(self.network, self.teacher, batch, settings.teacher_steps, settings.divergence)
