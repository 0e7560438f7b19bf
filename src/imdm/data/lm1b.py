"""The One Billion Word Benchmark (Chelba et al. 2013), one sentence a document, made to look like plain text.

The 99 training shards are for training; the 50 held-out shards, which the hub calls `test`, are for validation (MDLM).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from imdm.data.published import HubCorpus, open_tar, tar_members
from imdm.data.text_files import decoded_lines
from imdm.errors import UserError
from imdm.params import Corpus

HUB = HubCorpus("billion-word-benchmark/lm1b", {"train": 30_301_028, "test": 306_688})
_TRAINING, _HELD_OUT = "news.en-", "news.en.heldout-"


def _rules() -> Iterator[tuple[str, str]]:
    """MDLM's detokenizer as (pattern, replacement), to apply one after the other; each takes out blanks and nothing else.

    Of two places that share a blank, as in " ? ? ", only the first is changed, as there.
    """
    yield r"(https?) : / / ", r"\1://"
    yield r" (?='\w)", ""
    for after in (" ", "$"):  # within the sentence, at its end
        yield rf"( \w+) \.({after})", r"\1.\2"
    for mark, after in itertools.product("?!", (" ", "$")):
        yield rf" \{mark}({after})", rf"{mark}\1"
    for mark in ",:;":
        yield f" {mark} ", f"{mark} "
    yield " / ", "/"
    for opening, closing in ('""', "''", "()", "[]"):
        yield rf"\{opening} ([^\{opening}\{closing}]+) \{closing}", rf"{opening}\1{closing}"
    for sign in "$£":
        yield rf"\{sign} ", sign


_RULES = [(re.compile(pattern), replacement) for pattern, replacement in _rules()]


def detokenize(sentence: str) -> str:
    """A sentence of the benchmark without the blanks that its tokenization put around punctuation."""
    for pattern, replacement in _RULES:
        sentence = pattern.sub(replacement, sentence)
    return sentence


def documents(corpus: Corpus) -> Iterator[tuple[str, bool]]:
    """(sentence, whether it is held out): from the hub, the original tar in its order, or a folder with the shards by name.

    Raises:
        UserError: the corpus can't be had, or training or held-out shards are missing.
    """
    if corpus.path is None:
        sentences = ((line, split == "test") for split in ("train", "test") for line in HUB.texts(split))
    else:
        path = Path(corpus.path).expanduser()
        sentences = _folder(path) if path.is_dir() else _archive(path)
    for sentence, held_out in sentences:
        yield detokenize(sentence.strip()), held_out


def _folder(path: Path) -> Iterator[tuple[str, bool]]:
    shards = {held_out: sorted(path.rglob(f"{prefix}*")) for prefix, held_out in ((_TRAINING, False), (_HELD_OUT, True))}
    _check(path, {held_out for held_out, files in shards.items() if files})
    for held_out, files in shards.items():
        for shard in files:
            with shard.open("rb") as file:
                yield from ((line, held_out) for _, line in decoded_lines(file, str(shard)))


def _archive(path: Path) -> Iterator[tuple[str, bool]]:
    kinds = set()
    with open_tar(path) as tar:
        for name, file in tar_members(tar):
            shard = Path(name).name
            if shard.startswith((_TRAINING, _HELD_OUT)):
                held_out = shard.startswith(_HELD_OUT)
                kinds.add(held_out)
                yield from ((line, held_out) for _, line in decoded_lines(file, f"{path}: {name}"))
    _check(path, kinds)


def _check(path: Path, kinds: Iterable[bool]) -> None:
    """Refuse a copy without shards of one kind."""
    missing = [name for name, held_out in (("training", False), ("held-out", True)) if held_out not in kinds]
    if missing:
        has = "none of the benchmark's shards" if len(missing) == 2 else f"no {missing[0]} shards"
        names = f"{_TRAINING}*-of-00100 and {_HELD_OUT}*-of-00050"
        raise UserError(f"corpus.path = {str(path)!r} holds {has}; it must hold {names} (see data/README.md).")
