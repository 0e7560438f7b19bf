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
from imdm.data.bpe import MASK
from imdm.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from imdm.data.blocks import Dataset


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
        vocabulary: id of each token.
        trained: whether it is one of train_judge.
    """

    model: Any
    encode: Callable[[list[str]], list[list[int]]]
    end_id: int
    name: str
    precision: str
    max_length: int
    vocabulary: dict[str, int]
    trained: bool

    def check_vocabulary(self, data: Dataset, retokenize: bool) -> None:
        """Refuse a judge to which the samples' ids would mean something else.

        Raises:
            UserError: it was trained on another corpus, or ids are to be taken as they are and its vocabulary differs.
        """
        own, other = dict(self.vocabulary), data.tokenizer().get_vocab()
        for vocabulary in (own, other):  # no sample holds a mask
            vocabulary.pop(MASK, None)
        if own == other:
            return
        if self.trained:
            raise UserError(f"the judge was trained for another vocabulary than that of {data.path}; run train_judge on this dataset.")
        if not retokenize:
            raise UserError(f"judge {self.name} has another vocabulary than {data.path}; set scoring.retokenize to true.")


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
        UserError: it can't be loaded, lacks weights or end-of-text, or has no tokenizer, or one of another vocabulary.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()  # what it warns of is checked here
    logging.disable_progress_bar()
    folder = Path(where).parent if where.endswith(".safetensors") else Path(where)
    trained = (folder / "judge.json").exists()  # written by train_judge
    source = str(folder) if folder.is_dir() else where
    try:
        model, info = AutoModelForCausalLM.from_pretrained(source, output_loading_info=True)
        tokenizer = _tokenizer(source)
    except Exception as error:  # transformers and the Rust libraries raise all kinds, bare Exception too, for what they can't read
        if not isinstance(error, (OSError, ValueError, KeyError, RuntimeError, SafetensorError)) and type(error) is not Exception:
            raise
        said = " ".join(str(error).split())[:200]
        remedy = "set scoring.judge to trained, or to a causal LM's id or folder"
        raise UserError(f"the judge {where} can't be loaded ({said}); {remedy}.") from None
    if info["missing_keys"]:  # transformers would draw them at random
        first = min(info["missing_keys"])
        raise UserError(f"the weights of judge {where} lack {first}; give the file that belongs to the config.json beside it.")
    config, vocabulary = model.config, tokenizer.get_vocab()
    end_id = config.eos_token_id[0] if isinstance(config.eos_token_id, list) else config.eos_token_id
    # transformers makes up a nearly empty tokenizer for a folder without one
    if end_id is None or not config.vocab_size / 2 < len(vocabulary) <= max(vocabulary.values()) + 1 <= config.vocab_size:
        raise UserError(f"judge {where} has no end-of-text token, no tokenizer or another model's; give a model with its own tokenizer.")
    return Judge(
        model=model.float().to(device).eval(),
        encode=lambda texts: [found.ids for found in tokenizer.encode_batch(texts, add_special_tokens=False)],
        end_id=end_id,
        name="trained judge" if trained else where,
        precision="float32",
        max_length=config.max_position_embeddings,
        vocabulary=vocabulary,
        trained=trained,
    )


def _tokenizer(source: str) -> Tokenizer:
    """The tokenizer of a folder or hub id, without padding or truncation."""
    file = Path(source) / "tokenizer.json"
    if file.is_file():
        tokenizer = Tokenizer.from_file(str(file))
    else:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(source).backend_tokenizer
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
