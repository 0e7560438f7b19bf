"""The one module in which mask kinds differ: the embedding of a state (paper Eq. 15), and what Gumbel noise shows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imdm.diffusion.noise import coordinates, table_of
from imdm.diffusion.race import candidates
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
    by key mod K (the paper's Tab. 11), `gumbel` nothing here (`Candidates` does). What is added starts
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


class Shown(NamedTuple):
    """What masked positions show: their flat indices [n], their candidates' embeddings [n, m, d], and the log of when these come [n, m]."""

    masked: Tensor
    embeddings: Tensor
    late: Tensor


class Candidates(nn.Module):
    """Before each block every masked position reads its own candidates: the first tokens of the race that its key decides.

    A query from the position's state meets the embeddings of its candidates; a candidate's weight also falls with the time at which it
    comes, as its chance to be drawn does. So a block that knows more of the context, p instead of the proposal q, can tell which
    candidate will be drawn. The output starts at zero: the network computes what it did without.

    Attributes:
        proposal: q of `imdm.diffusion.race`, float64 [V]; uniform, until a training sets it.
        read: False where all outputs are zero and nothing has to be read.
    """

    proposal: Tensor

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.config, self.read, width = config, True, config.hidden_size
        proposal = torch.ones(config.vocab_size, dtype=torch.float64)
        proposal[config.mask_id] = 0
        self.register_buffer("proposal", proposal / proposal.sum())
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(config.blocks))
        self.queries = nn.ModuleList(nn.Linear(width, width) for _ in range(config.blocks))
        outputs = [nn.Linear(width, width, bias=False) for _ in range(config.blocks)]
        self.outputs = nn.ModuleList(outputs)
        self.lateness = nn.Parameter(torch.ones(config.blocks))
        for layer in outputs:
            nn.init.zeros_(layer.weight)

    def shown(self, z: Tensor, masked: Tensor | None, embedding: Tensor) -> Shown:
        """What the masked positions of z [B, L] show; `masked` as in `Network.hidden`, the tokens' `embedding` [V, d]."""
        vocab = self.config.vocab_size
        masked = is_masked(z, vocab).flatten().nonzero().squeeze(1) if masked is None else masked
        times, tokens = candidates(key_of(z.flatten()[masked], vocab), self.config.noise_dim, self.proposal)
        return Shown(masked, F.embedding(tokens, embedding * math.sqrt(embedding.shape[1])), times.log().to(embedding.dtype))

    def forward(self, number: int, x: Tensor, shown: Shown) -> Tensor:
        """x [B, L, d] with what its masked positions have read before block `number`."""
        flat = x.flatten(0, 1)
        query = self.queries[number](self.norms[number](flat[shown.masked])).to(shown.embeddings.dtype)
        scores = (shown.embeddings @ query[:, :, None]).squeeze(2) / math.sqrt(query.shape[1]) - self.lateness[number] * shown.late
        read = self.outputs[number]((scores.softmax(-1)[:, None].to(query.dtype) @ shown.embeddings).squeeze(1))
        return flat.index_add(0, shown.masked, read.to(flat.dtype)).view_as(x)
