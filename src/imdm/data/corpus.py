"""What the parameter `corpus` names, as documents that can be read more than once, and which split each belongs to.

The judge learns from its own documents, so that it is no copy of what the models learn from.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from imdm.data import hub, lm1b, openwebtext, pydocs, text_files
from imdm.errors import UserError
from imdm.languages import open_language
from imdm.params import Corpus

SPLITS = ("train", "judge", "valid", "test")
_HAVE_HELD_OUT = ("lm1b", "openwebtext")  # corpora that come with their own held-out documents


class Documents:
    """All documents from the start in the same order each time, as (text, whether it is held out); counts them.

    Args:
        read: starts from the first document at each call.
        origin: where the text comes from, for dataset.json.

    Attributes:
        count: how many there are; None before they have been read once.
        summary: documents, characters, UTF-8 bytes and sha256 of what was read last, in its order, and where it comes from.
    """

    def __init__(self, read: Callable[[], Iterable[tuple[str, bool]]], origin: str, count: int | None = None):
        self.read, self.origin, self.count = read, origin, count
        self.summary: dict[str, Any] = {}

    def __iter__(self) -> Iterator[tuple[str, bool]]:
        count = characters = size = 0
        digest = hashlib.sha256()
        for text, held_out in self.read():
            try:
                data = text.encode()
            except UnicodeEncodeError:  # JSON can spell one
                raise UserError(f"document {count + 1} of {self.origin} holds half a surrogate pair; remove it.") from None
            digest.update(data + b"\0")
            count, characters, size = count + 1, characters + len(text), size + len(data)
            yield text, held_out
        self.count = count
        self.summary = {"documents": count, "characters": characters, "bytes": size}
        self.summary |= {"sha256": digest.hexdigest(), "source": self.origin}


def open_corpus(corpus: Corpus, seed: int = 0) -> Documents:
    """The documents of a corpus. The embedded one (2 MB) and those of a language, which `seed` draws, are held in memory, the others
    are read anew each time.

    Raises:
        UserError: as `open_language` and `hub.commit`, and as the `documents` of `pydocs`, `text_files`, `hub`, `lm1b` and `openwebtext`
            do; the latter four only when they are read.
    """
    if corpus.name == "pydocs":
        texts = [(text, False) for text in pydocs.documents()]
        return Documents(lambda: texts, f"{platform.python_implementation()} {platform.python_version()}", len(texts))
    if corpus.name == "language":
        language, seeds = open_language(corpus, corpus.seq_len), [corpus.language_seed, seed]
        drawn = (language.text(block) for block in language.draw(np.random.default_rng(seeds), corpus.texts))
        texts = [(text, False) for text in drawn]
        return Documents(lambda: texts, f"{corpus.texts} texts of language {corpus.language}", len(texts))
    if corpus.name == "files":
        count = len(text_files.find_files(corpus.path or "", text_files.SUFFIXES))
        return Documents(lambda: ((text, False) for text in text_files.documents(corpus)), f"{count} files of {corpus.path}")
    if corpus.name == "hub":
        found = hub.commit(corpus)
        origin = f"{corpus.path}@{found}" if found else f"{corpus.path}"
        return Documents(lambda: ((text, False) for text in hub.documents(corpus, found)), origin, corpus.limit)
    module = {"lm1b": lm1b, "openwebtext": openwebtext}[corpus.name]
    if corpus.path is None:
        return Documents(lambda: module.documents(corpus), module.HUB.name, sum(module.HUB.sizes.values()))
    return Documents(lambda: module.documents(corpus), corpus.path)


class Splitter:
    """Assigns documents to splits by a hash of their text: neither order nor number of the others matters,
    and equal documents stay together. Those of a language are independent draws, and go by their numbers. Where the corpus has
    held-out documents of its own, these are for validation but for the share of test, and the judge has its share of the others.

    Args:
        corpus: gives the fractions; train (or valid, of the held-out documents) gets the rest.
        seed: seeds.data.

    Attributes:
        used: the splits that must get documents.

    Raises:
        UserError: nothing is left for train or valid.
    """

    def __init__(self, corpus: Corpus, seed: int):
        fractions = {"test": corpus.test_fraction, "valid": corpus.valid_fraction, "judge": corpus.judge_fraction}
        if corpus.name in _HAVE_HELD_OUT:
            parts = {False: ("train", ["judge"]), True: ("valid", ["test"])}
        else:
            parts = {False: ("train", list(fractions))}
        self._independent = corpus.name == "language"
        self._salt = hashlib.sha256(f"split:{seed}".encode()).digest()
        self._parts: dict[bool, tuple[str, list[tuple[float, str]]]] = {}
        self.used: set[str] = set()
        for held_out, (rest, names) in parts.items():
            bound, bounds = 0.0, []
            for name in names:
                bound += fractions[name]
                bounds.append((bound * 2.0**64, name))
            if bound >= 1:
                keys = " + ".join(f"corpus.{name}_fraction" for name in reversed(names))
                purpose = "validate" if held_out else "train"
                raise UserError(f"{keys} = {bound:g} leaves nothing to {purpose} on; make it less than 1.")
            self._parts[held_out] = rest, bounds
            self.used |= {rest, *(name for name in names if fractions[name] > 0)}

    def __call__(self, document: str, held_out: bool = False, number: int = 0) -> str:
        """The split of a document, the `number`-th of the corpus: train, judge, valid or test."""
        rest, bounds = self._parts[held_out]
        key = str(number) if self._independent else document
        digest = hashlib.blake2b(key.encode(), digest_size=8, key=self._salt).digest()
        place = int.from_bytes(digest, "little")
        return next((name for bound, name in bounds if place < bound), rest)


def too_small(corpus: Corpus, name: str, tokens: int) -> UserError:
    """The error for a split that has so many tokens, which fill no block."""
    name_and_path = f"{corpus.name} {corpus.path!r}" if corpus.path else corpus.name
    remedies = {"train": "add text", "valid": "add held-out text"} if corpus.name in _HAVE_HELD_OUT else {"train": "add text"}
    if corpus.name == "openwebtext":
        remedies = {"train": "add text, lower corpus.valid_documents", "valid": "raise corpus.valid_documents"}
    remedy = remedies.get(name, f"add text, raise corpus.{name}_fraction")
    return UserError(
        f"the {name} split of corpus {name_and_path} has {tokens} tokens, too few for one block of corpus.seq_len = {corpus.seq_len}; "
        f"{remedy} or lower corpus.seq_len."
    )
