"""Losses at chosen positions that never hold those positions' logits.

Head, loss and gradient run together, a chunk of positions at a time; the gradient with respect to the logits is written
down by each loss, in place of the logits. So the memory for logits is that of one chunk, whatever batch, length and
vocabulary are, and no value of the loss or its gradients changes but by rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from imdm.diffusion.nelbo import Noised, position_weights
from imdm.models.dit import NEVER, Network, at_least_float32

# From logits [m, V] under SUBS and which positions they belong to: their summed loss in nats, and its gradient [m, V].
# The logits' memory may be reused.
Term = Callable[[Tensor, slice], tuple[Tensor, Tensor]]

# Logits in one chunk: few enough for memory, enough to read the head's weights seldom.
CHUNK = {"cpu": 2**24, "cuda": 2**27}


def chunks(count: int, vocab_size: int, device: torch.device) -> list[slice]:
    """Positions 0 .. count-1 in chunks whose logits are few."""
    size = max(1, CHUNK[device.type] // vocab_size)
    return [slice(first, min(first + size, count)) for first in range(0, count, size)]


class _HeadLoss(torch.autograd.Function):
    """The vocabulary's projection and a loss; the gradients are made in the forward pass, one chunk after the other."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, term: Term, mask_id: int, dtype: torch.dtype) -> Tensor:
        low_x, low_weight, low_bias = (part.to(dtype) for part in (x, weight, bias))
        training = any(ctx.needs_input_grad)
        total = torch.zeros((), dtype=torch.float64 if dtype == torch.float64 else torch.float32, device=x.device)
        if training:
            grads = torch.empty_like(x), torch.zeros_like(weight), torch.zeros_like(bias)
        for part in chunks(len(x), len(weight), x.device):
            logits = at_least_float32(torch.addmm(low_bias, low_x[part], low_weight.T))
            logits[:, mask_id] = NEVER
            loss, grad = term(logits, part)
            total += loss
            if training:
                low = grad.to(dtype)
                grads[0][part] = low @ low_weight
                if dtype == weight.dtype:
                    grads[1].addmm_(low.T, low_x[part])
                else:
                    grads[1].add_(low.T @ low_x[part])
                grads[2].add_(grad.sum(0))
        if training:
            ctx.save_for_backward(*grads)
        return total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        return *(grad * upstream for grad in ctx.saved_tensors), None, None, None


def head_loss(network: Network, rows: Tensor, term: Term) -> Tensor:
    """Sum of a loss over positions, in nats, differentiable with respect to the rows and the head.

    Args:
        rows: the body's output at these positions, [n, d].
    """
    head = network.output_layer.linear
    x, dtype = network.before_head(rows), network.body_dtype or head.weight.dtype
    return _HeadLoss.apply(x, head.weight, head.bias, term, network.config.mask_id, dtype)


def cross_entropy(targets: Tensor, weights: Tensor) -> Term:
    """Sum over positions of weight times -log p(target).

    Args:
        targets: int64 [n].
        weights: [n].
    """

    def term(logits: Tensor, part: slice) -> tuple[Tensor, Tensor]:
        index, weight = targets[part, None], weights[part, None].to(logits.dtype)
        logits -= logits.amax(-1, keepdim=True)
        picked = logits.gather(1, index)
        p = logits.exp_()
        norm = p.sum(-1, keepdim=True)
        loss = ((norm.log() - picked) * weight).sum()
        return loss, p.mul_(weight / norm).scatter_add_(1, index, -weight)

    return term


def nelbo(network: Network, batch: Noised, latent: Tensor | None = None) -> Tensor:
    """NELBO of a batch in nats a token (Eq. 14): `weighted_nll` of the network's logits.

    Args:
        latent: in (0, 1) [B], of a network with a latent (then the bound with this latent).
    """
    rows = network.rows(batch.z, batch.masked, latent, batch.masked)
    return head_loss(network, rows, cross_entropy(batch.targets, position_weights(batch)))
