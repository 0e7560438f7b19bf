"""The one module in which mask kinds differ: the embedding of a state (paper Eq. 15)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imdm.diffusion.noise import noise
from imdm.diffusion.states import is_masked, key_of
from imdm.models.config import NetworkConfig


class StateEmbedding(nn.Module):
    """Embeds tokens and mask states; every mask state starts from the mask token's row.

    `single` adds nothing to it (MDLM), `infinite` adds MLP(noise(key)) (IMDM), `finite` adds a row of a table
    by key mod K (the paper's Tab. 11). What is added starts at zero, so that a network which adopts the
    weights of an MDLM computes the same function to the bit. Names follow the public checkpoints
    (`embedding`, `imdm_mlp`), whose MLP has no output bias.
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.config = config
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
            eps = noise(keys, self.config.noise_dim, self.config.noise_dist, self.config.noise_scale)
            return self.imdm_mlp(eps.to(self.embedding.dtype))
        return self.mask_table[keys % self.config.finite_masks]

    def forward(self, z: Tensor) -> Tensor:
        """States int64 [B, L] to embeddings [B, L, d]; the MLP runs on the masked positions alone."""
        masked = is_masked(z, self.config.vocab_size)
        # F.embedding, since the gradient of plain indexing adds in an order that varies between threads.
        x = F.embedding(torch.where(masked, self.config.mask_id, z), self.embedding)
        if self.config.mask == "single":
            return x
        positions = masked.flatten().nonzero().squeeze(1)
        keys = key_of(z.flatten()[positions], self.config.vocab_size)
        added = self.mask_vectors(keys)
        return x.flatten(0, 1).index_add(0, positions, added.to(x.dtype)).view_as(x)
