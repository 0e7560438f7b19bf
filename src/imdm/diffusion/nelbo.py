"""The forward process of a training batch and the NELBO (paper Eqs. 12 and 14)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from imdm.diffusion.counter import Stream, bits, uniform
from imdm.diffusion.schedule import mask_probability, nelbo_weight, stratified_times
from imdm.diffusion.states import mask_where


@dataclass
class Noised:
    """A batch after the forward process.

    Attributes:
        z: states int64 [B, L].
        x: clean tokens int64 [B, L].
        masked: flat indices into B*L of the masked positions, int64 [n].
        t: times float64 [B].
    """

    z: Tensor
    x: Tensor
    masked: Tensor
    t: Tensor

    @property
    def targets(self) -> Tensor:
        """Clean tokens of the masked positions [n]."""
        return self.x.flatten()[self.masked]


def forward_process(x: Tensor, seeds: Tensor, batch_seed: Tensor, first: int, count: int, vocab_size: int) -> Noised:
    """Mask each token with probability 1 - alpha_t, at times stratified over the global batch.

    Args:
        x: tokens [B, L], rows first .. first+B-1 of a global batch of `count`.
        seeds: int64 [B], one a sequence: masks and keys depend on it alone.
        batch_seed: int64 scalar, shared by the global batch, for the times.
    """
    offset = uniform(bits(batch_seed, Stream.LEVEL))
    t = stratified_times(offset, count)[first : first + len(x)]
    u = uniform(bits(seeds[:, None], Stream.MASK, torch.arange(x.shape[1], device=x.device)))
    mask = u < mask_probability(t)[:, None]
    return Noised(mask_where(x, mask, seeds, vocab_size), x, mask.flatten().nonzero().squeeze(1), t)


def weighted_nll(logits: Tensor, batch: Noised) -> Tensor:
    """NELBO of a batch in nats a token: sum over masked positions of -log p(x) / t, over all B*L tokens.

    Args:
        logits: [n, V] at `batch.masked` only, in that order; the mask token's own logit is out of play (SUBS).
    """
    nll = F.cross_entropy(logits.float(), batch.targets, reduction="none")
    rows = batch.masked // batch.x.shape[1]
    return (nll * nelbo_weight(batch.t).to(nll.dtype)[rows]).sum() / batch.x.numel()
