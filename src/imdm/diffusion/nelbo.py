"""The forward process of a training batch and the NELBO (paper Eqs. 12 and 14)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from imdm.diffusion.counter import Stream, bits, row_seeds, uniform
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

    def map(self, f: Callable[[Tensor], Tensor]) -> Noised:
        """The same batch with `f` of each tensor."""
        return Noised(f(self.z), f(self.x), f(self.masked), f(self.t))

    @property
    def targets(self) -> Tensor:
        """Clean tokens of the masked positions [n]."""
        return self.x.flatten()[self.masked]


def forward_process(x: Tensor, seed: int, step: int, first: int, count: int, vocab_size: int, counted: bool = False) -> Noised:
    """Mask each token with probability 1 - alpha_t, at times stratified over the global batch.

    Counted, n of the L tokens instead, n uniform in 1 .. L and stratified alike, at t = n / L. The expectation of the NELBO is the
    same: the integral over t of Binomial(L, t)(n) / t is 1 / n. Its variance is finite, where 1/t with a mask or none is not
    (Ou et al., arXiv 2406.03736).

    Args:
        x: tokens [B, L], rows first .. first+B-1 of step `step`'s global batch of `count`.
        seed: root of the training's draws; masks and keys are functions of (seed, step, row).
    """
    seeds = row_seeds(seed, step * count + first, len(x), x.device)
    offset = uniform(bits(torch.tensor(seed, device=x.device), Stream.LEVEL, step))
    u = uniform(bits(seeds[:, None], Stream.MASK, torch.arange(x.shape[1], device=x.device)))
    if counted:
        t = (stratified_times(offset, count, floor=0.0)[first : first + len(x)] * x.shape[1]).ceil().clamp(min=1) / x.shape[1]
        mask = u.argsort(1).argsort(1) < (t[:, None] * x.shape[1]).round()
    else:
        t = stratified_times(offset, count)[first : first + len(x)]
        mask = u < mask_probability(t)[:, None]
    return Noised(mask_where(x, mask, seeds, vocab_size), x, mask.flatten().nonzero().squeeze(1), t)


def position_weights(batch: Noised) -> Tensor:
    """Weights with which the masked positions' -log p(x) sum to the NELBO in nats a token: 1/t over all B*L tokens, float64 [n]."""
    rows = batch.masked // batch.x.shape[1]
    return nelbo_weight(batch.t)[rows] / batch.x.numel()


def weighted_nll(logits: Tensor, batch: Noised) -> Tensor:
    """NELBO of a batch in nats a token, from all its logits.

    Args:
        logits: [n, V] at `batch.masked` only, in that order; the mask token's own logit is out of play (SUBS).
    """
    nll = F.cross_entropy(logits, batch.targets, reduction="none")
    return (nll * position_weights(batch).to(nll.dtype)).sum()
