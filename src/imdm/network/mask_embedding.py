"""The one module in which mask kinds differ: the embedding of a state (paper Eq. 15)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imdm.diffusion.noise import coordinates, table_of
from imdm.diffusion.states import is_masked, key_of
from imdm.network.config import NetworkConfig

_CHUNK = 2**24  # coordinates of noise that exist at once


class _NoiseProjection(torch.autograd.Function):
    """Linear(noise(key)) that keeps keys instead of noise: the backward pass draws it again, a chunk of keys at a time."""

    @staticmethod
    def forward(ctx: Any, keys: Tensor, weight: Tensor, bias: Tensor, draw: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(keys)
        ctx.draw, ctx.size = draw, max(1, _CHUNK // weight.shape[1])
        out = weight.new_empty(len(keys), len(weight))
        for rows, part in zip(out.split(ctx.size), keys.split(ctx.size), strict=True):
            torch.addmm(bias, draw(part), weight.T, out=rows)
        return out

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        (keys,) = ctx.saved_tensors
        parts = zip(upstream.split(ctx.size), keys.split(ctx.size), strict=True)
        return None, sum(grad.T @ ctx.draw(part) for grad, part in parts), upstream.sum(0), None


class StateEmbedding(nn.Module):
    """Embeds tokens and mask states; every mask state starts from the mask token's row.

    `single` adds nothing to it (MDLM), `infinite` adds MLP(noise(key)) (IMDM), `finite` adds a row of a table
    by key mod K (the paper's Tab. 11), `gumbel` nothing here (`imdm.network.candidates` does). What is added starts
    at zero, so that a network which adopts the weights of an MDLM computes the same function to the bit. Names
    follow the public checkpoints (`embedding`, `imdm_mlp`), whose MLP has no output bias.

    Attributes:
        coordinates: makes the noise; a compiled form of it gives the same bits.
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.config, self.coordinates = config, coordinates
        width = config.hidden_size
        self.embedding = nn.Parameter(torch.empty(config.vocab_size, width))
        nn.init.uniform_(self.embedding, -1 / math.sqrt(width), 1 / math.sqrt(width))
        if config.mask == "infinite":
            first, last = nn.Linear(config.noise_dim, 4 * width), nn.Linear(4 * width, width, bias=False)
            nn.init.trunc_normal_(first.weight, std=0.02, a=-0.04, b=0.04)
            nn.init.zeros_(first.bias)
            nn.init.zeros_(last.weight)
            self.imdm_mlp = nn.Sequential(first, nn.GELU(), last)
        elif config.mask == "finite":
            self.mask_table = nn.Parameter(torch.zeros(config.finite_masks, width))

    def mask_vectors(self, keys: Tensor) -> Tensor:
        """What the mask states with these keys add to the mask token's row, [n, d]."""
        if self.config.mask == "infinite":
            first, activation, last = self.imdm_mlp
            return last(activation(_NoiseProjection.apply(keys, first.weight, first.bias, self._noise)))
        return self.mask_table[keys % self.config.finite_masks]

    def _noise(self, keys: Tensor) -> Tensor:
        dim, dist, scale = self.config.noise_dim, self.config.noise_dist, self.config.noise_scale
        return self.coordinates(keys, dim, dist, scale, table_of(dist, keys.device)).to(self.embedding.dtype)

    def forward(self, z: Tensor, masked: Tensor | None = None) -> Tensor:
        """States int64 [B, L] to embeddings [B, L, d]; the MLP runs on the masked positions alone.

        Args:
            masked: flat indices of the masked positions, int64 [n]; None: they are looked up, for which the host waits.
        """
        at_mask = is_masked(z, self.config.vocab_size)
        # F.embedding, since the gradient of plain indexing adds in an order that varies between threads.
        x = F.embedding(torch.where(at_mask, self.config.mask_id, z), self.embedding)
        if self.config.mask in ("single", "gumbel"):
            return x
        masked = at_mask.flatten().nonzero().squeeze(1) if masked is None else masked
        keys = key_of(z.flatten()[masked], self.config.vocab_size)
        added = self.mask_vectors(keys)
        return x.flatten(0, 1).index_add(0, masked, added.to(x.dtype)).view_as(x)
