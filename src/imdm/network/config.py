"""Everything that is needed to build a network: written into each checkpoint."""

from __future__ import annotations

from pydantic import Field

from imdm.params import LanguageSettings, MaskSettings, Network, NonNegative, Positive
from imdm.params.base import Draws


class NetworkConfig(Network, MaskSettings):
    """Sizes, mask settings and vocabulary of a network."""

    vocab_size: Positive = Field(description="V, rows of the embedding, the mask token's included")
    mask_id: NonNegative = Field(description="row from which every mask state's embedding starts")
    seq_len: Positive = Field(description="L, longest sequence it was built for")
    latent_hidden: Positive | None = Field(None, description="hidden width of Di4C's latent token; null: a network without a latent")
    tokenizer_sha256: str = Field("", description="digest of the vocabulary's file, to refuse a foreign one")
    draws: Draws = Field(
        "independent",
        exclude_if=lambda draws: draws == "independent",
        description="how it is sampled; from_noise_in_order, after keyed distillation: tokens are read from the mask keys",
    )
    language: LanguageSettings | None = Field(
        None, exclude_if=lambda language: language is None, description="of an oracle, whose marginals are those of the language"
    )
    replicate: NonNegative = Field(
        0, exclude_if=lambda number: number == 0, description="training seed of what is trained from it; 0, the first, is not written"
    )
