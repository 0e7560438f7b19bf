"""Keyed distillation: N teacher steps become one student step, because the student sees what the teacher draws with.

Its neighbours, and what is theirs, are in docs/method.md.

Tokens of a trajectory are read from its mask keys, and the order too, or the order is fixed (`dilated_order`), so that the teacher's
sampler is a deterministic map from noise to text, as DDIM is for continuous diffusion. What a position's distribution is in its
own step then follows from the keys of all masked positions, and the student, which sees them as noise, learns it in one step.
Of an order that the student does not see it learns the mean over orders. That says little of what a whole text agrees on, since
any position may have come first and decided it; of a fixed order all of it can be learnt.

The target is the distribution before the position's own draw. It depends on the others' uniforms alone, and the student's
sampler draws from it with the position's own uniform: what the student can't tell yet stays in the draw, in the teacher's
proportions, and with no use of the noise at all the student is its teacher. Keys are fresh in every step of training, so there
is no list of pairs that could be learnt by heart.

Targets come from the teacher's whole trajectory (`keyed_loss`), or from one step of it and the student itself behind that
(`consistency_loss`), which costs two passes however many steps the teacher has.
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
from imdm.diffusion.noise import carried_uniforms
from imdm.diffusion.schedule import stratified_times
from imdm.diffusion.states import is_masked, key_of, keyed_masks, mask_where
from imdm.distill.distillation import DistillTraining
from imdm.distill.sdtt import towards
from imdm.network.config import NetworkConfig
from imdm.network.head_loss import head_loss
from imdm.network.network import Network
from imdm.params import Keyed, Runtime
from imdm.sampling.categorical import draw_by_key
from imdm.sampling.order import dilated_order, even_steps, places, unmasking_steps
from imdm.stage.device import prepare, send


def keyed_student(teacher: Network, draws: str) -> Network:
    """A copy of the teacher that is sampled from its noise, with `draws` from_noise or from_noise_in_order."""
    student = copy.deepcopy(teacher).requires_grad_(True)
    student.config = NetworkConfig(**teacher.config.model_dump() | {"draws": draws})
    return student


def keyed_batch(x: Tensor, root: int, step: int, first: int, count: int, whole: int, vocab_size: int, draws: str) -> Noised:
    """Rows of a step's global batch as the sampler meets them.

    From an order that the keys carry: what is masked at a time. In a fixed order: what comes behind a place, and in every other row
    of it only a random part of the positions, of a random share, since the others may be given.

    Args:
        x: clean tokens int64 [b, L], on the CPU: rows first .. first+b-1 of `count`.
        root: seed of the training's draws.
        whole: how many leading rows of the global batch are at t = 1; the others' times are stratified.
    """
    offset, length = uniform(bits(torch.tensor(root), Stream.LEVEL, step)), x.shape[1]
    t = torch.cat([torch.ones(whole, dtype=torch.float64), stratified_times(offset, count - whole)])[first : first + len(x)]
    seeds = row_seeds(root, step * count + first, len(x))
    if draws == "from_noise_in_order":
        share = uniform(bits(seeds, Stream.LEVEL)) * (torch.arange(first, first + len(x)) % 2)
        given = uniform(bits(seeds[:, None], Stream.MASK, torch.arange(length))) < share[:, None]
        masked = (dilated_order(length) >= (1 - t[:, None]) * length) & ~given
    else:
        masked = keyed_masks(seeds, t, length)
    z = mask_where(x, masked, seeds, vocab_size)
    return Noised(z, x, masked.flatten().nonzero().squeeze(1), t)


@torch.no_grad()
def keyed_rows(teacher: Network, batch: Noised, steps: int, draws: str) -> Tensor:
    """The teacher's body output at each masked position in the step that unmasks it, of a trajectory read from the keys.

    Args:
        teacher: in eval mode.
        batch: of `keyed_batch`, on the CPU, where the number of positions of each step is needed.
        steps: N, in equal parts from t to 0, or of as many positions each.

    Returns:
        [n, d] in the order of `batch.masked`.
    """
    vocab = teacher.config.vocab_size
    keys = key_of(batch.z.flatten()[batch.masked], vocab)
    if draws == "from_noise_in_order":
        masked = is_masked(batch.z, vocab)
        at = even_steps(dilated_order(batch.z.shape[1]), masked, steps).flatten()[batch.masked]
    else:
        order, _ = carried_uniforms(keys)
        at = unmasking_steps(1 - (1 - order) / batch.t[batch.masked // batch.z.shape[1]], steps)
    by_step, sizes = at.argsort(stable=True), torch.bincount(at, minlength=steps).tolist()

    to_teacher = partial(send, device=teacher.vocab_embed.embedding.device)
    z, position, keys, place = (to_teacher(x) for x in (batch.z.clone(), batch.masked[by_step], keys[by_step], by_step.argsort()))
    states, outputs, first = z.view(-1), [], 0
    for step, size in enumerate(sizes):
        now = slice(first, first + size)
        outputs.append(teacher.rows(z, position[now], masked=position[first:]))
        if step < steps - 1:
            states[position[now]] = draw_by_key(teacher, outputs[-1], keys[now])
        first += size
    return torch.cat(outputs)[place]


def keyed_loss(student: Network, teacher: Network, batch: Noised, steps: int, kind: str) -> Tensor:
    """Mean over masked positions of the divergence between the student's one step and the teacher's N, in nats.

    Args:
        batch, steps: as in `keyed_rows`.
        kind: reverse_kl or forward_kl.
    """
    of_teacher = keyed_rows(teacher, batch, steps, student.config.draws)
    batch = batch.map(partial(send, device=of_teacher.device))
    rows = student.rows(batch.z, batch.masked, masked=batch.masked)
    return head_loss(student, rows, towards(student, teacher, of_teacher, kind, len(batch.masked)))


def consistency_loss(student: Network, teacher: Network, average: Network, batch: Noised, steps: int, kind: str) -> Tensor:
    """As `keyed_loss`, with one step of the teacher, and behind it the student itself.

    Positions that the teacher's step unmasks have its distribution as target. All others have what the student's moving
    average makes of the state behind that step, which is the same map one step on: what is learnt near the end of the way
    spreads to its start, as in consistency training. A step of training costs two passes however many steps the teacher has.

    Args:
        average: in eval mode.
        batch: of `keyed_batch`, on the CPU.
        steps: of the teacher for the whole way.
        kind: reverse_kl or forward_kl.
    """
    vocab, length = teacher.config.vocab_size, batch.z.shape[1]
    keys = key_of(batch.z.flatten()[batch.masked], vocab)
    if student.config.draws == "from_noise_in_order":
        first = places(dilated_order(length), is_masked(batch.z, vocab)).flatten()[batch.masked] * steps < length
    else:
        order, _ = carried_uniforms(keys)
        first = order < 1 - batch.t[batch.masked // length] + 1 / steps
    halves = [part.nonzero().squeeze(1) for part in (first, ~first)]
    on_device = partial(send, device=teacher.vocab_embed.embedding.device)
    z, keys, opened, left = map(on_device, (batch.z, keys[halves[0]], *(batch.masked[part] for part in halves)))
    position, count = torch.cat([opened, left]), len(batch.masked)

    with torch.no_grad():
        of_teacher = teacher.rows(z, opened, masked=position)
        behind = z.flatten().index_copy(0, opened, draw_by_key(teacher, of_teacher, keys)).view_as(z)
        of_average = average.rows(behind, left, masked=left)
    rows = student.rows(z, position, masked=position)
    near = head_loss(student, rows[: len(opened)], towards(student, teacher, of_teacher, kind, count))
    return near + head_loss(student, rows[len(opened) :], towards(student, average, of_average, kind, count))


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
        if settings.target == "consistency":
            self.frozen.append(copy.deepcopy(student).eval().requires_grad_(False))

    def place(self, runtime: Runtime, device: torch.device) -> None:
        super().place(runtime, device)
        for average in self.frozen[1:]:
            for parameter, shadow in zip(prepare(average, runtime, device).parameters(), self.ema.shadow, strict=True):
                parameter.data = shadow  # one memory: the network follows the moving average without a copy

    def noised(self, x: Tensor, step: int, first: int) -> Noised:
        count = self.settings.batch_size
        whole = round(self.settings.from_start * count)
        return keyed_batch(x, self.draws, step, first, count, whole, self.network.config.vocab_size, self.network.config.draws)

    def loss(self, step: int) -> Tensor:
        batch, steps, kind = self.batch(step), self.settings.teacher_steps, self.settings.divergence
        if self.settings.target == "trajectory":
            loss = keyed_loss(self.network, self.teacher, batch, steps, kind)
        else:
            loss = consistency_loss(self.network, self.teacher, self.frozen[1], batch, steps, kind)
        return self.weight(batch, step) * loss
