"""The One Billion Word Benchmark (Chelba et al. 2013), one sentence a document, made to look like plain text.

The 99 training shards are for training; the 50 held-out shards, which the hub calls `test`, are for validation (MDLM).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from imdm.data.hub import HubCorpus
from imdm.data.text_files import decoded_lines, open_tar, tar_members
from imdm.errors import UserError
from imdm.files import require_regular
from imdm.params import Corpus

HUB = HubCorpus("billion-word-benchmark/lm1b", {"train": 30_301_028, "test": 306_688})
_TRAINING, _HELD_OUT = "news.en-", "news.en.heldout-"
_KINDS = {_TRAINING: "training", _HELD_OUT: "held-out"}


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
    sentences: Iterator[tuple[str, bool]]
    if corpus.path is None:
        sentences = ((line, split == "test") for split in ("train", "test") for line in HUB.texts(split))
    else:
        path = Path(corpus.path).expanduser()
        sentences = _folder(path) if path.is_dir() else _archive(path)
    for sentence, held_out in sentences:
        yield detokenize(sentence.strip()), held_out


def _folder(path: Path) -> Iterator[tuple[str, bool]]:
    files = {kind: [file for file in sorted(path.rglob(f"{kind}*")) if not file.is_dir()] for kind in _KINDS}
    _check(path, {kind: [shard.name for shard in shards] for kind, shards in files.items()})
    for kind, shards in files.items():
        for shard in shards:
            require_regular(shard, f"make it a file, or move it out of {path}")
            with shard.open("rb") as file:
                yield from ((line, kind == _HELD_OUT) for _, line in decoded_lines(file, str(shard)))


def _archive(path: Path) -> Iterator[tuple[str, bool]]:
    shards: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    with open_tar(path) as tar:
        for name, file in tar_members(tar):
            shard = Path(name).name
            for kind in _KINDS:
                if shard.startswith(kind):
                    shards[kind].append(shard)
                    yield from ((line, kind == _HELD_OUT) for _, line in decoded_lines(file, f"{path}: {name}"))
    _check(path, shards)


def _check(path: Path, shards: dict[str, list[str]]) -> None:
    """Refuse a copy that has not each shard once. The first of the training shards is what the held-out ones were cut from."""
    where, see = f"corpus.path = {str(path)!r}", "(see data/README.md)"
    missing = [name for kind, name in _KINDS.items() if not shards[kind]]
    if missing:
        has = "none of the benchmark's shards" if len(missing) == 2 else f"no {missing[0]} shards"
        raise UserError(f"{where} holds {has}; it must hold {_TRAINING}*-of-00100 and {_HELD_OUT}*-of-00050 {see}.")
    for kind, names in shards.items():
        total = names[0].rpartition("-")[2]
        count = int(total) if re.fullmatch("[0-9]{5}", total) else 0
        whole = [f"{kind}{number:05d}-of-{total}" for number in range(kind == _TRAINING, count)]
        if sorted(names) != whole:
            lacks = next((f"lacks {name}" for name in whole if name not in names), f"has more than one copy of {kind}*-of-{total}")
            raise UserError(f"{where} {lacks}, or has files that are no shards; give one whole copy {see}.")
