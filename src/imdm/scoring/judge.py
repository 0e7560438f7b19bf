"""The judge: a causal language model that says how likely a text is.

At paper scale GPT-2 Large; without a hub, a small GPT-2 trained on its own half of the corpus.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer
from transformers.models.gpt2 import GPT2Config, GPT2LMHeadModel

from imdm import params
from imdm.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Judge:
    """A loaded judge.

    Attributes:
        model: causal LM of transformers, in eval mode.
        encode: texts to token ids, special tokens in the text recognised, none added.
        end_id: its end-of-text token.
        name: for tables.
        precision: dtype of its weights.
        max_length: longest input in tokens.
    """

    model: Any
    encode: Callable[[list[str]], list[list[int]]]
    end_id: int
    name: str
    precision: str
    max_length: int


def build_judge(settings: params.Judge, vocab_size: int, seq_len: int, end_id: int) -> GPT2LMHeadModel:
    """An untrained GPT-2 without dropout, for sequences of up to twice seq_len tokens.

    Text that is decoded and encoded again may take more tokens than it had.
    """
    config = GPT2Config(
        vocab_size=vocab_size,
        n_positions=2 * seq_len,
        n_embd=settings.hidden_size,
        n_layer=settings.blocks,
        n_head=settings.heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=end_id,
        eos_token_id=end_id,
    )
    return GPT2LMHeadModel(config)


def load_judge(where: str, device: torch.device | str = "cpu") -> Judge:
    """Load the trained judge (path of its model.safetensors) or any causal LM of transformers (id or folder).

    Raises:
        UserError: it can't be loaded, or has no tokenizer.
    """
    from safetensors import SafetensorError

    folder = Path(where).parent if where.endswith(".safetensors") else Path(where)
    trained = folder / "tokenizer.json"
    try:
        if (folder / "judge.json").exists():  # written by train_judge
            model = GPT2LMHeadModel.from_pretrained(folder)
            tokenizer = Tokenizer.from_file(str(trained))
            return _judge(model, lambda texts: [e.ids for e in tokenizer.encode_batch(texts)], "trained judge", device)
        from transformers import AutoModelForCausalLM, AutoTokenizer

        model = AutoModelForCausalLM.from_pretrained(where)
        auto = AutoTokenizer.from_pretrained(where)
    except (OSError, ValueError, SafetensorError, RuntimeError) as error:
        said = " ".join(str(error).split())[:200]
        raise UserError(f"the judge {where} can't be loaded ({said}); set scoring.judge to trained, or to a causal LM's id or folder.") from None
    return _judge(model, lambda texts: auto(texts, add_special_tokens=False)["input_ids"], where, device)


def _judge(model: Any, encode: Callable[[list[str]], list[list[int]]], name: str, device: torch.device | str) -> Judge:
    config = model.config
    precision = str(model.dtype).removeprefix("torch.")
    return Judge(model.to(device).eval(), encode, config.eos_token_id, name, precision, config.max_position_embeddings)
