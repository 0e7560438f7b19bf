"""Byte-level BPE trained on the corpus: any text goes in and comes back unchanged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from imdm.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END, MASK = "<|endoftext|>", "<|mask|>"
MIN_VOCABULARY = 1 + 256 + 1  # END, the bytes, MASK
MAX_VOCABULARY = 2**16  # ids are stored as uint16


def train_bpe(documents: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train a tokenizer. END (BOS and EOS at once) has id 0, MASK the last id.

    Args:
        documents: training text, read once.
        vocab_size: both special tokens included. Fewer come out where the text has too few pairs to merge.

    Raises:
        UserError: vocab_size is out of range.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

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
    add_special(tokenizer, MASK)
    return as_text(tokenizer)


def add_special(tokenizer: Tokenizer, *tokens: str) -> None:
    """Make tokens special; those that the vocabulary lacks get the next ids."""
    from tokenizers import AddedToken

    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens])


def as_text(tokenizer: Tokenizer) -> Tokenizer:
    """Makes a document that spells a special token be read as those characters, so that no document holds a mask."""
    tokenizer.encode_special_tokens = True
    return tokenizer
