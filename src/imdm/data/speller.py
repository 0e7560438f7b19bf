"""Tokens as readable text: pieces of whole characters or words, each with the step at which it was unmasked."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from imdm.data.blocks import Dataset

BREAK = "\u25c7"  # stands for the token between two documents, where a sample begins and ends too

Pieces = list[tuple[str, int]]  # text and the step at which it was unmasked, -1 for what was given


def byte_of_character() -> dict[str, int]:
    """The byte that each character of a byte-level vocabulary stands for.

    Bytes that print in Latin-1 stand for themselves; the others follow from U+0100 on, in order.
    """
    printing = [byte for byte in range(256) if 33 <= byte <= 126 or byte >= 161 and byte != 173]
    others = [byte for byte in range(256) if byte not in printing]
    return {chr(byte): byte for byte in printing} | {chr(256 + i): byte for i, byte in enumerate(others)}


class Speller:
    """Turns token ids into text: those of a byte-level BPE, where a character may span tokens, of WordPiece, or whole words."""

    def __init__(self, tokenizer: Tokenizer, ends: set[int]):
        """Read the vocabulary; `ends` are the ids of BOS and EOS."""
        from tokenizers.models import WordLevel, WordPiece

        self.ends = ends
        vocabulary = tokenizer.get_vocab()
        if isinstance(tokenizer.model, (WordLevel, WordPiece)):
            words = {index: token[2:] if token.startswith("##") else f" {token}" for token, index in vocabulary.items()}
            self.bytes = {index: word.encode() for index, word in words.items()}
            return
        byte_of = byte_of_character()
        self.bytes = {
            index: bytes(byte_of[char] for char in token) if all(char in byte_of for char in token) else token.encode()
            for token, index in vocabulary.items()
        }

    @classmethod
    def of(cls, data: Dataset) -> Speller:
        """The speller of a corpus."""
        return cls(data.tokenizer(), {data.bos_id, data.eos_id})

    def pieces(self, tokens: list[int], unmasked_at: list[int]) -> Pieces:
        """The text of a sample, cut where a whole character ends.

        Args:
            tokens: ids [L].
            unmasked_at: step of each token [L], -1 where it was given.

        Returns:
            (text, step at which the last of its tokens was unmasked); bytes that are no UTF-8 show as U+FFFD, BOS and EOS as BREAK.
        """
        pieces: Pieces = []
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        step = -1
        for token, at in zip(tokens, unmasked_at, strict=True):
            if token in self.ends:
                rest = decoder.decode(b"", final=True)
                decoder.reset()
                pieces += ([(rest, step)] if rest else []) + [(BREAK, at)]
                step = -1
                continue
            step = max(step, at)
            text = decoder.decode(self.bytes[token])
            if text:
                pieces.append((text, step))
            begun = decoder.getstate()[0]  # bytes of a character that the next tokens finish
            step = (at if text else step) if begun else -1
        rest = decoder.decode(b"", final=True)
        return pieces + ([(rest, step)] if rest else [])
