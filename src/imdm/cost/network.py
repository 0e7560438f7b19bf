"""The network of an experiment, before there is one."""

from __future__ import annotations

from imdm.network.config import NetworkConfig
from imdm.params import Params

# Known before the tokenizer is there: BERT has a mask token of its own, GPT-2 gets one more row.
VOCABULARIES = {"bert-base-uncased": 30_522, "gpt2": 50_258}


def network_config(params: Params, variant: str | None, vocab_size: int) -> NetworkConfig:
    """The network of a variant; of the teacher (single mask) where `variant` is None."""
    masks = params.mask_settings(variant).model_dump() if variant else {"mask": "single"}
    return NetworkConfig(**params.network.model_dump(), **masks, vocab_size=vocab_size, mask_id=0, seq_len=params.corpus.seq_len)
