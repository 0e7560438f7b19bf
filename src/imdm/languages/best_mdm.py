"""The best masked diffusion model that a Markov chain allows: exact conditional marginals in the place of a network."""

from __future__ import annotations

from torch import Tensor

from imdm.languages.markov import MarkovChain
from imdm.network.config import NetworkConfig


class BestMdm:
    """What `sample` asks of a network.

    Its error is the factorization of the tokens of one step alone, none where each step unmasks one. It is best by the KL from
    the data to the model; by metrics of what a model writes, one with sharper marginals can be ahead of it.
    """

    def __init__(self, chain: MarkovChain):
        self.chain = chain
        sizes = {"hidden_size": 1, "blocks": 1, "heads": 1, "cond_dim": 1, "dropout": 0.0}  # of no network
        self.config = NetworkConfig(vocab_size=chain.vocab_size, mask_id=chain.letters, seq_len=chain.length, mask="single", **sizes)

    def rows(self, z: Tensor, positions: Tensor, latent: Tensor | None = None, masked: Tensor | None = None) -> Tensor:
        """ln P(token | visible tokens) at flat indices `positions` [n] into B*L: float64 [n, V + 1]."""
        return self.chain.log_marginals(z).flatten(0, 1)[positions]

    def subs(self, rows: Tensor) -> Tensor:
        """The rows themselves: the mask token has no probability in them."""
        return rows
