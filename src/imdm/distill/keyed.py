"""Keyed distillation: N teacher steps become one student step, because the student sees what the teacher draws with.

This project's own. Order and tokens of a trajectory are read from its mask keys (`carried_uniforms`), so that the teacher's
sampler is a deterministic map from noise to text, as DDIM is for continuous diffusion. What a position's distribution is in its
own step then follows from the keys of all masked positions, and the student, which sees them as noise, learns it in one step.

The target is the distribution before the position's own draw. It depends on the others' uniforms alone, and the student's
sampler draws from it with the position's own uniform: what the student can't tell yet stays in the draw, in the teacher's
proportions, and with no use of the noise at all the student is its teacher. Keys are fresh in every step of training, so there
is no list of pairs that could be learnt by heart.
"""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import Tensor

from imdm.diffusion.nelbo import Noised
from imdm.diffusion.noise import carried_uniforms
from imdm.diffusion.states import key_of
from imdm.distill.sdtt import divergence
from imdm.models.config import NetworkConfig
from imdm.models.dit import Network
from imdm.models.head_loss import head_loss
from imdm.runtime import send
from imdm.sampling.categorical import draw_tokens
from imdm.sampling.sampler import unmasking_steps


def keyed_student(teacher: Network) -> Network:
    """A copy of the teacher that is sampled from its noise."""
    student = copy.deepcopy(teacher).requires_grad_(True)
    student.config = NetworkConfig(**teacher.config.model_dump() | {"draws": "from_noise"})
    return student


@torch.no_grad()
def keyed_rows(teacher: Network, batch: Noised, steps: int) -> Tensor:
    """The teacher's body output at each masked position in the step that unmasks it, of a trajectory read from the keys.

    Args:
        teacher: in eval mode.
        batch: z_t of `keyed_masks`, on the CPU, where the number of positions of each step is needed.
        steps: N, in equal parts from t to 0.

    Returns:
        [n, d] in the order of `batch.masked`.
    """
    order, u = carried_uniforms(key_of(batch.z.flatten()[batch.masked], teacher.config.vocab_size))
    at = unmasking_steps(1 - (1 - order) / batch.t[batch.masked // batch.z.shape[1]], steps)
    by_step, sizes = at.argsort(stable=True), torch.bincount(at, minlength=steps).tolist()

    to_teacher = partial(send, device=teacher.vocab_embed.embedding.device)
    z, position, u, place = (to_teacher(x) for x in (batch.z.clone(), batch.masked[by_step], u[by_step], by_step.argsort()))
    states, found, first = z.view(-1), [], 0
    for step, size in enumerate(sizes):
        now = slice(first, first + size)
        found.append(teacher.rows(z, position[now], masked=position[first:]))
        if step < steps - 1:
            states[position[now]] = draw_tokens(teacher, found[-1], u[now])
        first += size
    return torch.cat(found)[place]


def keyed_loss(student: Network, teacher: Network, batch: Noised, steps: int, kind: str) -> Tensor:
    """Mean over masked positions of the divergence between the student's one step and the teacher's N, in nats.

    Args:
        batch, steps: as in `keyed_rows`.
        kind: of `divergence`.
    """
    of_teacher = keyed_rows(teacher, batch, steps)
    batch = batch.map(partial(send, device=of_teacher.device))

    def term(logits: Tensor, part: slice) -> tuple[Tensor, Tensor]:
        target = torch.log_softmax(teacher.subs(of_teacher[part]), dim=-1)
        return divergence(logits, target, kind, 1 / max(1, len(batch.masked)))

    return head_loss(student, student.rows(batch.z, batch.masked, masked=batch.masked), term)
