"""Byte-level BPE: any text goes in and comes back unchanged."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from imdm.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END, MASK = "<|endoftext|>", "<|mask|>"
MIN_VOCABULARY = 1 + 256 + 1  # END, the bytes, MASK
MAX_VOCABULARY = 2**16  # ids are stored as uint16


def limit_threads(workers: int) -> None:
    """Let the tokenizer use `workers` threads; has an effect only before its first use in the process."""
    os.environ["RAYON_NUM_THREADS"] = str(workers)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if workers > 1 else "false"


def train_bpe(documents: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train a tokenizer. END (BOS and EOS at once) has id 0, MASK the last id.

    Args:
        documents: training text, read once.
        vocab_size: both special tokens included. Fewer come out where the text has too few pairs to merge.

    Raises:
        UserError: vocab_size is out of range.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    if not MIN_VOCABULARY <= vocab_size <= MAX_VOCABULARY:
        reason = "hold all bytes and two special tokens" if vocab_size < MIN_VOCABULARY else "fit in 16 bits"
        raise UserError(f"corpus.vocab_size = {vocab_size} must {reason}; choose one from {MIN_VOCABULARY} to {MAX_VOCABULARY}.")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    tokenizer.add_special_tokens([AddedToken(MASK, special=True, normalized=False)])
    return _as_text(tokenizer)


def load_bpe(path: str | Path) -> Tokenizer:
    """Read a tokenizer.json of `train_bpe`.

    Raises:
        UserError: the file is missing, or no such tokenizer.
    """
    from tokenizers import Tokenizer

    if not Path(path).is_file():
        raise UserError(f"{path} does not exist; run tokenize_pack.")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the Rust library raises bare Exception for whatever it can't parse
        raise UserError(f"{path} is not a tokenizer ({error}); run tokenize_pack again.") from None
    if tokenizer.token_to_id(END) != 0 or tokenizer.token_to_id(MASK) != tokenizer.get_vocab_size() - 1:
        raise UserError(f"{path} lacks {END} as its first token or {MASK} as its last; run tokenize_pack again.")
    return _as_text(tokenizer)


def _as_text(tokenizer: Tokenizer) -> Tokenizer:
    """Makes a document that spells a special token be read as those characters, so that no document holds a mask."""
    tokenizer.encode_special_tokens = True
    return tokenizer
