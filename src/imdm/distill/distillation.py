"""What trainings by a frozen teacher have in common: its weights beside the student's, and the divergence between the two."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from imdm.diffusion.counter import row_seeds
from imdm.diffusion.nelbo import Noised
from imdm.network.block import at_least_float32
from imdm.network.head_loss import head_loss, head_of
from imdm.network.network import Network
from imdm.params import Optimizer, Runtime
from imdm.stage.device import prepare_frozen, send
from imdm.training.pretrain import NoisedTraining


def reverse_kl(student: Tensor, target: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """KL(student || target) in nats, summed over positions and times `scale`.

    Written with the gap between the logits, not between log-probabilities, so that a compiler needs one softmax, two sums and one
    more pass. Its gradient is p (gap - E_p[gap]).

    Args:
        student, target: logits [n, V]; computed with in float32 at least.
        scale: float64 [].

    Returns:
        the divergence, and its gradient with respect to the student's logits, in their dtype.
    """
    wide, goal = at_least_float32(student), at_least_float32(target)
    log_norm, gap = wide.logsumexp(-1, keepdim=True), wide - goal
    p, scale = (wide - log_norm).exp_(), scale.to(wide.dtype)
    mean = (p * gap).sum(-1, keepdim=True)
    kl = mean - log_norm + goal.logsumexp(-1, keepdim=True)
    return kl.sum() * scale, p.mul_(gap.sub_(mean)).mul_(scale).to(student.dtype)


def forward_kl(student: Tensor, target: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """KL(target || student), as `reverse_kl`."""
    log_p, log_q = (torch.log_softmax(at_least_float32(logits), dim=-1) for logits in (student, target))
    q, scale = log_q.exp(), scale.to(log_p.dtype)
    loss = (q * log_q.sub_(log_p)).sum() * scale
    return loss, log_p.exp_().sub_(q).mul_(scale).to(student.dtype)


DIVERGENCES = {"reverse_kl": reverse_kl, "forward_kl": forward_kl}


def distillation_loss(student: Network, teacher: Network, of_teacher: Tensor, batch: Noised, kind: str) -> Tensor:
    """Mean over masked positions of the divergence between the student's distributions in one step and a teacher's, in nats.

    Args:
        of_teacher: the teacher's body output at these positions, [n, d].
        batch: z_t, on the CPU.
        kind: reverse_kl or forward_kl.
    """
    batch = batch.map(partial(send, device=of_teacher.device))
    rows = student.rows(batch.z, batch.masked, masked=batch.masked)
    divergence, x, head = student.fused(DIVERGENCES[kind]), teacher.before_head(of_teacher).detach(), head_of(teacher)
    scale = torch.full((), 1 / max(1, len(batch.masked)), dtype=torch.float64, device=rows.device)
    return head_loss(student, rows, lambda logits, part: divergence(logits, head.subs(x[part]), scale))


class DistillTraining(NoisedTraining):
    """A student that learns from a teacher on packed blocks; `draws` names the training and its round."""

    def __init__(
        self, student: Network, teacher: Network, settings: Optimizer, draws: str, seed: int, blocks: np.ndarray, round_number: int = 1
    ):
        super().__init__(student, settings, draws, seed, blocks)
        self.round_number = round_number
        # In a list, so that neither the optimizer nor the checkpoint takes the teacher's weights for the student's.
        self.frozen = [teacher.eval().requires_grad_(False)]

    @property
    def teacher(self) -> Network:
        return self.frozen[0]

    def seeds(self, step: int) -> Tensor:
        """One of each row of this device's part, int64 [b] on the CPU."""
        first, count = self.part
        return row_seeds(self.draws, step * self.settings.batch_size + first, count)

    def weight(self, batch: Noised, step: int) -> float:
        """Weight in `loss` of a mean over the masked positions of this part: 1 where it is the whole step, or masks its share.

        Parts differ in what they mask, since their times are neighbouring strata.
        """
        count = self.settings.batch_size
        if len(batch.x) == count:
            return 1.0
        whole = self.noised(torch.zeros(count, self.length, dtype=torch.int64), step, 0)
        return len(batch.masked) / max(1, len(whole.masked)) * (count / len(batch.x))

    def place(self, runtime: Runtime, device: torch.device) -> None:
        super().place(runtime, device)
        prepare_frozen(self.teacher, runtime, device)
