"""What the parameter `corpus` names, as documents that can be read more than once."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from imdm.data import pydocs, text_files
from imdm.params import Corpus


def open_corpus(corpus: Corpus) -> Callable[[], Iterable[str]]:
    """A function that gives all documents from the start, in the same order each time.

    The embedded corpus (2 MB) is held in memory, files are read anew.

    Raises:
        UserError: as `pydocs.documents` and `text_files.documents` do; for files only when they are read.
    """
    if corpus.name == "pydocs":
        held = list(pydocs.documents())
        return lambda: held
    return lambda: text_files.documents(corpus)


class Tally:
    """Counts the documents that pass through it."""

    def __init__(self, corpus: Corpus):
        self.documents = self.characters = self.bytes = 0
        self._digest = hashlib.sha256()
        python = f"{platform.python_implementation()} {platform.python_version()}"
        self.source = python if corpus.name == "pydocs" else f"{len(text_files.find_files(corpus.path or ''))} files of {corpus.path}"

    def __call__(self, documents: Iterable[str]) -> Iterator[str]:
        """The documents, counted one by one."""
        for document in documents:
            data = document.encode()
            self._digest.update(data + b"\0")
            self.documents += 1
            self.characters += len(document)
            self.bytes += len(data)
            yield document

    def summary(self) -> dict[str, Any]:
        """Number of documents, characters and UTF-8 bytes, sha256 of the text in its order, and where it comes from."""
        counts = {"documents": self.documents, "characters": self.characters, "bytes": self.bytes}
        return {**counts, "sha256": self._digest.hexdigest(), "source": self.source}
