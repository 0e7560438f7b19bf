"""Losses at chosen positions that never hold those positions' logits.

Head, loss and gradient run together, a chunk of positions at a time; the gradient with respect to the logits is written
down by each loss, in place of the logits. So the memory for logits is that of one chunk, whatever batch, length and
vocabulary are, and no value of the loss or its gradients changes but by rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from imdm.diffusion.nelbo import Noised, position_weights
from imdm.network.block import at_least_float32
from imdm.network.network import NEVER, Network

# From logits [m, V'] under SUBS and which positions they belong to: their summed loss in nats, and its gradient [m, V'], both
# computed in float32 at least and the gradient in the logits' dtype. The logits' memory may be reused.
Term = Callable[[Tensor, slice], tuple[Tensor, Tensor]]

# Logits in one chunk: few enough for memory, enough to read the head's weights seldom.
CHUNK = {"cpu": 2**24, "cuda": 2**27}
# V' is V rounded up to a multiple of this. A GPU's matrix products take twice as long where V is odd or twice an odd number,
# as the public vocabularies' are.
MULTIPLE = {"cpu": 1, "cuda": 64}


@dataclass(frozen=True)
class Projection:
    """A head in the body's precision: weight [V', d] and bias [V'], which keeps tokens beyond V at probability 0."""

    weight: Tensor
    bias: Tensor
    mask_id: int

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor, mask_id: int, dtype: torch.dtype) -> Projection:
        weight, bias = weight.to(dtype), bias.to(dtype)
        missing = -len(weight) % MULTIPLE[weight.device.type]
        if missing:
            weight, bias = F.pad(weight, (0, 0, 0, missing)), F.pad(bias, (0, missing), value=NEVER)
        return cls(weight, bias, mask_id)

    def subs(self, x: Tensor) -> Tensor:
        """Logits [m, V'] under SUBS of what the projection takes, [m, d], in its precision."""
        logits = torch.addmm(self.bias, x.to(self.weight.dtype), self.weight.T)
        logits[:, self.mask_id] = NEVER
        return logits


def head_of(network: Network) -> Projection:
    """The head of a network in the precision of its body."""
    head = network.output_layer.linear
    return Projection.of(head.weight, head.bias, network.config.mask_id, network.body_dtype or head.weight.dtype)


class _HeadLoss(torch.autograd.Function):
    """The vocabulary's projection and a loss; the gradients are made in the forward pass, one chunk after the other."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, term: Term, mask_id: int, dtype: torch.dtype) -> Tensor:
        head, low_x, vocab = Projection.of(weight, bias, mask_id, dtype), x.to(dtype), len(weight)
        training = any(ctx.needs_input_grad)
        total = torch.zeros((), dtype=torch.float64 if dtype == torch.float64 else torch.float32, device=x.device)
        if training:
            grads = torch.empty_like(x), torch.zeros_like(weight), torch.zeros_like(bias)
        size = max(1, CHUNK[x.device.type] // len(head.weight))
        for part in (slice(first, first + size) for first in range(0, len(x), size)):
            loss, grad = term(head.subs(low_x[part]), part)
            total += loss
            if training:
                grads[0][part] = grad @ head.weight
                if dtype == weight.dtype:
                    grads[1].addmm_(grad.T[:vocab], low_x[part])
                else:
                    grads[1].add_((grad.T @ low_x[part])[:vocab])
                grads[2].add_(grad.sum(0, dtype=bias.dtype)[:vocab])
        if training:
            ctx.save_for_backward(*grads)
        return total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        return *(grad * upstream for grad in ctx.saved_tensors), None, None, None


def head_loss(network: Network, rows: Tensor, term: Term) -> Tensor:
    """Sum of a loss over positions, in nats, differentiable in `rows` (the body's output there, [n, d]) and the head."""
    head = network.output_layer.linear
    x, dtype = network.before_head(rows), network.body_dtype or head.weight.dtype
    return _HeadLoss.apply(x, head.weight, head.bias, term, network.config.mask_id, dtype)


def _softmax(logits: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(weight times softmax in the logits' dtype, greatest logit, sum of the exponentials above it) of [m, V] and weights [m, 1].

    In place where the logits are not of lower precision.
    """
    p = at_least_float32(logits)
    if torch.compiler.is_compiling():
        p = p.clone()  # costs nothing there, and Inductor can't compile what writes to its input and returns it
    greatest = p.amax(-1, keepdim=True)
    p.sub_(greatest).exp_()
    norm = p.sum(-1, keepdim=True)
    return p.mul_(weight / norm).to(logits.dtype), greatest, norm


def cross_entropy(network: Network, targets: Tensor, weights: Tensor) -> Term:
    """Sum over positions of weight [n] times -log p(target) of targets int64 [n], for the logits of `network`."""
    softmax = network.fused(_softmax)

    def term(logits: Tensor, part: slice) -> tuple[Tensor, Tensor]:
        index, dtype = targets[part, None], torch.promote_types(logits.dtype, torch.float32)
        weight, picked = weights[part, None].to(dtype), logits.gather(1, index).to(dtype)
        grad, greatest, norm = softmax(logits, weight)
        picked -= greatest
        at_target = weight * (picked.exp() / norm - 1)
        return ((norm.log() - picked) * weight).sum(), grad.scatter_(1, index, at_target.to(grad.dtype))

    return term


def nelbo(network: Network, batch: Noised, latent: Tensor | None = None) -> Tensor:
    """NELBO of a batch in nats a token (Eq. 14): `weighted_nll` of the network's logits, with this latent in (0, 1) [B] if it has one."""
    rows = network.rows(batch.z, batch.masked, latent, batch.masked)
    return head_loss(network, rows, cross_entropy(network, batch.targets, position_weights(batch)))
