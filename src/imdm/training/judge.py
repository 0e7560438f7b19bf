"""Training of the judge: plain next-token prediction on its own split."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from imdm.training.pretrain import BlockTraining


class JudgeTraining(BlockTraining):
    """Trains a causal LM of transformers on packed blocks uint16 [n, L]."""

    def loss(self, step: int) -> Tensor:
        """Cross-entropy of the tokens at positions 1 .. L-1, nats a token."""
        x, _ = self.rows(step)
        logits = self.network(input_ids=x, use_cache=False).logits[:, :-1]
        return F.cross_entropy(logits.flatten(0, 1).float(), x[:, 1:].flatten())

    @torch.no_grad()
    def use_average(self) -> None:
        """Put the moving average in place of the trained weights."""
        for parameter, shadow in zip(self.network.parameters(), self.ema.shadow, strict=True):
            parameter.copy_(shadow)
