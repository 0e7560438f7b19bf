"""Samples as readable text: pieces of whole characters or words, each with the step at which it was unmasked."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imdm.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from imdm.data.blocks import Dataset

BREAK = "\u25c7"  # stands for the token between two documents, where a sample begins and ends too
_TOKENS = 60_000  # shown in one report over all models and step counts, so that it stays small


def byte_of_character() -> dict[str, int]:
    """The byte that each character of a byte-level vocabulary stands for.

    Bytes that print in Latin-1 stand for themselves; the others follow from U+0100 on, in order.
    """
    printing = [byte for byte in range(256) if 33 <= byte <= 126 or byte >= 161 and byte != 173]
    others = [byte for byte in range(256) if byte not in printing]
    return {chr(byte): byte for byte in printing} | {chr(256 + i): byte for i, byte in enumerate(others)}


class Speller:
    """Turns token ids into text: those of a byte-level BPE, where a character may span tokens, or of WordPiece.

    Args:
        tokenizer: of one of the two kinds.
        ends: ids of BOS and EOS.
    """

    def __init__(self, tokenizer: Tokenizer, ends: set[int]):
        from tokenizers.models import WordPiece

        self.ends = ends
        vocabulary = tokenizer.get_vocab()
        if isinstance(tokenizer.model, WordPiece):
            words = {index: token[2:] if token.startswith("##") else f" {token}" for token, index in vocabulary.items()}
            self.bytes = {index: word.encode() for index, word in words.items()}
            return
        byte_of = byte_of_character()
        self.bytes = {
            index: bytes(byte_of[char] for char in token) if all(char in byte_of for char in token) else token.encode()
            for token, index in vocabulary.items()
        }

    def pieces(self, tokens: list[int], unmasked_at: list[int]) -> list[tuple[str, int]]:
        """The text of a sample, cut where a whole character ends.

        Args:
            tokens: ids [L].
            unmasked_at: step of each token [L], -1 where it was given.

        Returns:
            (text, step at which the last of its tokens was unmasked); bytes that are no UTF-8 show as U+FFFD, BOS and EOS as BREAK.
        """
        found: list[tuple[str, int]] = []
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        step = -1
        for token, at in zip(tokens, unmasked_at, strict=True):
            if token in self.ends:
                rest = decoder.decode(b"", final=True)
                decoder.reset()
                found += ([(rest, step)] if rest else []) + [(BREAK, at)]
                step = -1
                continue
            step = max(step, at)
            text = decoder.decode(self.bytes[token])
            if text:
                found.append((text, step))
            begun = decoder.getstate()[0]  # bytes of a character that the next tokens finish
            step = (at if text else step) if begun else -1
        rest = decoder.decode(b"", final=True)
        return found + ([(rest, step)] if rest else [])


@contextmanager
def open_samples(path: Path, data: Dataset) -> Iterator[tuple[Any, dict[str, Any]]]:
    """A samples.safetensors and what it says about itself.

    Raises:
        UserError: it was made with another tokenizer than the data's.
    """
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        about = json.loads((file.metadata() or {}).get("imdm", "{}"))
        if about.get("tokenizer_sha256") != data.tokenizer_sha256:
            raise UserError(f"{path} was made with another tokenizer than the data's; run stages/sample.py again or correct --data.")
        yield file, about


def spell(file: Any, steps: int, rows: range, speller: Speller, length: int | None = None) -> list[list[tuple[str, int]]]:
    """The pieces of some samples of an open file, of their first `length` tokens."""
    tokens, at = (file.get_slice(f"{steps}.{name}")[rows.start : rows.stop, :length] for name in ("tokens", "unmasked_at"))
    return [speller.pieces(ids, when) for ids, when in zip(tokens.tolist(), at.tolist(), strict=True)]


def read_samples(folder: Path, data: Dataset, most: int = 8) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The first samples of every model at every step count.

    Args:
        folder: holds MODEL/samples.safetensors, the model being teacher, VARIANT/RECIPE or public/NAME.
        most: samples of each; fewer where that would be over the report's budget.

    Returns:
        by model and step count, a list of {"text": pieces, "at": steps}.

    Raises:
        UserError: there are no samples, or they were made with another tokenizer.
    """
    files = [path for path in sorted(folder.rglob("samples.safetensors")) if not path.parent.name.endswith((".partial", ".old"))]
    if not files:
        raise UserError(f"{folder} holds no samples.safetensors; run stages/sample.py or correct --samples.")
    speller, found = Speller(data.tokenizer(), {data.bos_id, data.eos_id}), {}
    for path in files:
        with open_samples(path, data) as (file, about):
            share = _TOKENS // (len(files) * len(about["steps"]) * data.seq_len)
            first = {str(n): spell(file, n, range(min(most, max(1, share))), speller) for n in about["steps"]}
        found[about["model"]] = {
            n: [{"text": [text for text, _ in pieces], "at": [step for _, step in pieces]} for pieces in samples]
            for n, samples in first.items()
        }
    return dict(sorted(found.items(), key=lambda item: (item[0] != "teacher", not item[0].startswith("mdlm"), item[0])))
