"""Attention of a masked position to the tokens that its Gumbel noise favours."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imdm.diffusion.race import candidates
from imdm.diffusion.states import is_masked, key_of
from imdm.network.config import NetworkConfig


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
