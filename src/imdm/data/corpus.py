"""What the parameter `corpus` names, as documents that can be read more than once."""

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


class Documents:
    """All documents from the start in the same order each time, as (text, whether it is held out); counts them.

    Args:
        read: starts from the first document at each call.
        origin: where the text comes from, for dataset.json.

    Attributes:
        count: how many there are; None before they have been read once.
    """

    def __init__(self, read: Callable[[], Iterable[tuple[str, bool]]], origin: str, count: int | None = None):
        self.read, self.origin, self.count = read, origin, count
        self._summary: dict[str, Any] = {}

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
        self._summary = {"documents": count, "characters": characters, "bytes": size, "sha256": digest.hexdigest()}

    def summary(self) -> dict[str, Any]:
        """Documents, characters, UTF-8 bytes and sha256 of what was read last, in its order, and where it comes from."""
        return {**self._summary, "source": self.origin}


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
