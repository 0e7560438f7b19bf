"""The oracle: the best masked diffusion model that can exist, a language's own marginals in the place of a network's."""

from __future__ import annotations

import torch
from torch import Tensor

from imdm.languages import open_language
from imdm.network.config import NetworkConfig
from imdm.network.network import NEVER, Network
from imdm.params import LanguageSettings

_NOISE = 1e-12  # through which visible tokens are seen, so that those that no text has still have marginals: of the texts nearest to them
_SIZES = {"hidden_size": 2, "blocks": 1, "heads": 1, "cond_dim": 1, "dropout": 0.0}  # of a network that nothing asks


class Oracle(Network):
    """Its error is that tokens of one step are drawn independently, none where each step unmasks one.

    It is best by the KL from the data to the model; by metrics of what a model writes, one with sharper marginals can be ahead of it.
    """

    def __init__(self, config: NetworkConfig, body_dtype: torch.dtype | None = None):
        super().__init__(config, body_dtype)
        assert config.language is not None
        self.language = open_language(config.language, config.seq_len)

    def rows(self, z: Tensor, positions: Tensor, latent: Tensor | None = None, masked: Tensor | None = None) -> Tensor:
        """ln P(token | visible tokens) at flat indices `positions` [n] into B*L: float64 [n, V]."""
        marginals = torch.from_numpy(self.language.marginals(z.cpu().numpy(), _NOISE)).to(z.device)
        return marginals.flatten(0, 1)[positions].log().clamp(min=NEVER)

    def subs(self, rows: Tensor) -> Tensor:
        """The rows themselves: the mask token has no probability in them."""
        return rows


def oracle_of(settings: LanguageSettings, seq_len: int, tokenizer_sha256: str) -> Oracle:
    """The oracle of a language, for blocks of L tokens."""
    language = open_language(settings, seq_len)
    about = {"vocab_size": language.vocab_size, "mask_id": language.vocab_size - 1, "seq_len": seq_len, "mask": "single"}
    return Oracle(NetworkConfig(**_SIZES, **about, tokenizer_sha256=tokenizer_sha256, language=settings.alone()))
