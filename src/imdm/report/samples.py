"""Samples as readable text: pieces of whole characters, each with the step at which it was unmasked."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imdm.data.bpe import END
from imdm.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

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
    """Turns token ids of a byte-level BPE tokenizer into text, where a character may span tokens."""

    def __init__(self, tokenizer: Tokenizer):
        byte_of = byte_of_character()
        self.end = tokenizer.token_to_id(END)
        self.bytes: dict[int, bytes] = {}
        for token, index in tokenizer.get_vocab().items():
            known = all(char in byte_of for char in token)
            self.bytes[index] = bytes(byte_of[char] for char in token) if known else token.encode()

    def pieces(self, tokens: list[int], unmasked_at: list[int]) -> list[tuple[str, int]]:
        """The text of a sample, cut where a whole character ends.

        Args:
            tokens: ids [L].
            unmasked_at: step of each token [L], -1 where it was given.

        Returns:
            (text, step at which the last of its tokens was unmasked); bytes that are no UTF-8 show as U+FFFD, END as BREAK.
        """
        found: list[tuple[str, int]] = []
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        step = -1
        for token, at in zip(tokens, unmasked_at, strict=True):
            if token == self.end:
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


def read_samples(folder: Path, tokenizer: Tokenizer, digest: str, most: int = 8) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The first samples of every model at every step count.

    Args:
        folder: holds MODEL/samples.safetensors, the model being teacher or VARIANT/RECIPE.
        digest: sha256 of the tokenizer, which the samples must be of.
        most: samples of each; fewer where that would be over the report's budget.

    Returns:
        by model and step count, a list of {"text": pieces, "at": steps}.

    Raises:
        UserError: there are no samples, or they were made with another tokenizer.
    """
    from safetensors import safe_open

    files = [path for path in sorted(folder.rglob("samples.safetensors")) if not path.parent.name.endswith((".partial", ".old"))]
    if not files:
        raise UserError(f"{folder} holds no samples.safetensors; run stages/sample.py or correct --samples.")
    speller, found = Speller(tokenizer), {}
    for path in files:
        with safe_open(path, "numpy") as file:
            about = json.loads((file.metadata() or {}).get("imdm", "{}"))
            if about.get("tokenizer_sha256") != digest:
                raise UserError(f"{path} was made with another tokenizer than the data's; run stages/sample.py again or correct --data.")
            share = _TOKENS // (len(files) * len(about["steps"]))
            found[about["model"]] = {str(steps): _first(file, steps, most, share, speller) for steps in about["steps"]}
    return dict(sorted(found.items(), key=lambda item: (item[0] != "teacher", not item[0].startswith("mdlm"), item[0])))


def _first(file: Any, steps: int, most: int, share: int, speller: Speller) -> list[dict[str, Any]]:
    tokens, at = file.get_slice(f"{steps}.tokens"), file.get_slice(f"{steps}.unmasked_at")
    count, length = tokens.get_shape()
    count = min(count, most, max(1, share // length))
    shown = []
    for ids, when in zip(tokens[:count].tolist(), at[:count].tolist(), strict=True):
        pieces = speller.pieces(ids, when)
        shown.append({"text": [text for text, _ in pieces], "at": [step for _, step in pieces]})
    return shown
