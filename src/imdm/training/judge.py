"""Training of the judge: next-token prediction on its own split."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from imdm.training.pretrain import BlockTraining


class JudgeTraining(BlockTraining):
    """A causal LM of transformers on packed blocks."""

    def loss(self, step: int) -> Tensor:
        x, _ = self.rows(step)
        return F.cross_entropy(self.network(x).logits[:, :-1].flatten(0, 1), x[:, 1:].flatten())
