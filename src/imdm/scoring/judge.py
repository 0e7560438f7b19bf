"""The judge: a causal language model that scores samples. Ours is trained by `train_judge`; any of transformers will do."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from imdm.data.blocks import Dataset
from imdm.data.bpe import MASK
from imdm.errors import UserError
from imdm.params import Judge as Settings

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import GPT2LMHeadModel, PreTrainedModel

WEIGHTS, SUMMARY, TOKENIZER = "model.safetensors", "judge.json", "tokenizer.json"


@dataclass(frozen=True)
class Judge:
    """A loaded judge.

    Attributes:
        model: any causal LM of transformers, float32, in evaluation mode.
        tokenizer: its own; reads the text of a special token as that token.
        name: for tables.
        eos_id: its end-of-text token.
        max_length: tokens it can read at once.
        summary: judge.json beside it; None for a model that `train_judge` did not make.
    """

    model: PreTrainedModel
    tokenizer: Tokenizer
    name: str
    precision: str
    eos_id: int
    max_length: int
    summary: dict[str, Any] | None

    def shares_vocabulary(self, data: Dataset) -> bool:
        """Whether token ids of the dataset mean the same to the judge; the mask, which no sample holds, doesn't matter."""
        own, other = self.tokenizer.get_vocab(), data.tokenizer().get_vocab()
        return {token: i for token, i in own.items() if token != MASK} == {token: i for token, i in other.items() if token != MASK}


def build_judge(settings: Settings, vocab_size: int, seq_len: int, eos_id: int) -> GPT2LMHeadModel:
    """A GPT-2 (Radford et al. 2019) with fresh weights and without dropout.

    Args:
        vocab_size: V of the dataset.
        seq_len: tokens it can read at once.
        eos_id: BOS and EOS at once.

    Raises:
        UserError: the width can't be divided among the heads.
    """
    from transformers.models.gpt2 import GPT2Config, GPT2LMHeadModel
from transformers.utils import logging

    if settings.hidden_size % settings.heads:
        raise UserError(f"judge.hidden_size = {settings.hidden_size} must be a multiple of judge.heads = {settings.heads}; change either.")
    config = GPT2Config(
        vocab_size=vocab_size,
        n_positions=seq_len,
        n_embd=settings.hidden_size,
        n_layer=settings.blocks,
        n_head=settings.heads,
        bos_token_id=eos_id,
        eos_token_id=eos_id,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=False,
    )
    return GPT2LMHeadModel(config)


def save_judge(folder: Path, model: GPT2LMHeadModel, data: Dataset) -> None:
    """Write model.safetensors, config.json and the dataset's tokenizer.json, as `from_pretrained` reads them."""
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)  # a judge generates nothing
    shutil.copyfile(data.path.with_name(TOKENIZER), folder / TOKENIZER)


def load_judge(source: str | Path, device: torch.device | str = "cpu") -> Judge:
    """Load a judge in float32.

    Args:
        source: a model file or folder of transformers' layout, or an id of the hub.

    Raises:
        UserError: it is missing, truncated, no causal LM, lacks weights, or its tokenizer is missing or of another vocabulary.
    """
    path = Path(source)
    folder = path.parent if path.is_file() else path
    where = str(folder) if folder.is_dir() else str(source)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise UserError(f"{folder} has no config.json, so it is no judge; give the model.safetensors of train_judge or a folder of transformers.")
    model, tokenizer = _load_model(where), _load_tokenizer(where)
    if tokenizer.get_vocab_size() > model.config.vocab_size:
        sizes = f"{tokenizer.get_vocab_size()} tokens, but its model {model.config.vocab_size}"
        raise UserError(f"the tokenizer of judge {where} has {sizes}; put the model's own tokenizer beside it.")
    eos = model.config.eos_token_id
    eos_id = eos[0] if isinstance(eos, list) else eos
    if eos_id is None or model.get_output_embeddings() is None:
        raise UserError(f"judge {where} has no eos_token_id or no output layer; choose a causal LM such as gpt2-large.")
    summary = _read_summary(folder / SUMMARY) if folder.is_dir() else None
    return Judge(
        model=model.float().to(device).eval(),
        tokenizer=tokenizer,
        name=summary["name"] if summary else str(source),
        precision="float32",
        eos_id=eos_id,
        max_length=model.config.max_position_embeddings,
        summary=summary,
    )


def _load_model(where: str) -> PreTrainedModel:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()  # what it would warn of is checked below
    logging.disable_progress_bar()
    try:
        model, info = AutoModelForCausalLM.from_pretrained(where, output_loading_info=True)
    except SafetensorError as error:
        raise UserError(f"the weights of judge {where} are truncated or no safetensors file ({error}); make or download them again.") from None
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"judge {where} can't be loaded ({reason}); give a folder or hub id of a causal LM of transformers.") from None
    lacking = sorted(info["missing_keys"])
    if lacking:
        raise UserError(f"the weights of judge {where} lack {len(lacking)} tensors, first {lacking[0]}; give the file that belongs to its config.json.")
    return model


def _load_tokenizer(where: str) -> Tokenizer:
    from tokenizers import Tokenizer

    file = Path(where) / TOKENIZER
    try:
        if file.is_file():
            tokenizer = Tokenizer.from_file(str(file))
        else:
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(where).backend_tokenizer
    except Exception as error:  # the Rust library raises bare Exception for whatever it can't parse
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"judge {where} has no tokenizer that can be read ({reason}); put its {TOKENIZER} beside its weights.") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _read_summary(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
        if not {"name", "held_out_perplexity"} <= set(summary):
            raise ValueError
    except (ValueError, TypeError):
        raise UserError(f"{file} is no result of train_judge; delete {file.parent} and run train_judge again.") from None
    return summary
