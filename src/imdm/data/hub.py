"""Data sets of the Hugging Face hub: the corpus `hub`, any of them with a column of text, streamed, or a local folder that `datasets`
reads; and published corpora of a known size, whole through the hub's cache."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imdm.errors import UserError
from imdm.files import said
from imdm.params import Corpus

_REVISIONS = (None, "refs/convert/parquet")  # as published; what the hub made of it where that is a script, which no reader takes now


def documents(corpus: Corpus, revision: str | None) -> Iterator[str]:
    """The column `corpus.text_field` of the split, at most `corpus.limit` documents; empty ones are left out, outer white space too.

    Args:
        revision: of `commit`, so that every reading gets the same.

    Raises:
        UserError: the data set can't be had, or has no such configuration, split or column of text.
    """
    from datasets import load_dataset

    where = _named(corpus)
    try:
        rows = load_dataset(corpus.path, corpus.config, split=corpus.split, revision=revision, streaming=True)
        if rows.column_names and corpus.text_field not in rows.column_names:
            raise UserError(f"{where} has no column {corpus.text_field!r}; set corpus.text_field to one of {', '.join(rows.column_names)}.")
        for row in itertools.islice(rows, corpus.limit):
            text = row.get(corpus.text_field)
            if not isinstance(text, str | None):
                raise UserError(f"{where}: column {corpus.text_field!r} is {type(text).__name__}, not text; set corpus.text_field to text.")
            if stripped := (text or "").strip():
                yield stripped
    except UserError:
        raise
    except Exception as error:  # datasets and the hub raise all kinds
        raise _refused(corpus, error) from None


def commit(corpus: Corpus) -> str | None:
    """The commit that `corpus.revision` is now, None for a folder of this machine. Raises UserError: the data set can't be had."""
    if Path(corpus.path or "").expanduser().exists():
        return None
    from huggingface_hub import HfApi

    try:
        return HfApi().dataset_info(corpus.path or "", revision=corpus.revision).sha
    except Exception as error:
        raise _refused(corpus, error) from None


def _named(corpus: Corpus) -> str:
    return " ".join(filter(None, (corpus.path, corpus.config, corpus.split)))


def _refused(corpus: Corpus, error: Any) -> UserError:
    """Why the hub gives no data set, and what to do."""
    reason, kind = said(error).rstrip("."), type(error).__name__
    remedy = "correct corpus.path, config, split or revision"
    if "gated" in reason.lower() or kind == "GatedRepoError":
        remedy = "ask for access on the data set's page and log in by `hf auth login`"
    elif (
        kind in ("OfflineModeIsEnabled", "LocalEntryNotFoundError")
        or isinstance(error, ConnectionError | TimeoutError)
        or "Connect" in kind
    ):
        remedy = "run where the hub can be reached, or set corpus.path to a folder with a copy"
    return UserError(f"{_named(corpus)} can't be had from the hub ({reason}); {remedy}.")


@dataclass(frozen=True)
class HubCorpus:
    """A data set with a text column.

    Attributes:
        name: its id.
        sizes: documents of each split; another number means that the copy is partial, as the hub's own conversions of
            more than 5 GB are.
    """

    name: str
    sizes: dict[str, int]

    def texts(self, split: str) -> Iterator[str]:
        """Texts of a split in their order, read from disk a batch at a time. Raises UserError: it can't be had, or isn't complete."""
        rows = self._load(split)
        if rows.num_rows != self.sizes[split]:
            counts = f"{rows.num_rows:,} documents instead of {self.sizes[split]:,}"
            raise UserError(f"the hub's {self.name} has {counts} in {split}; set corpus.path to a whole copy (see data/README.md).")
        for batch in rows.select_columns(["text"]).iter(1000):
            yield from batch["text"]

    def _load(self, split: str):
        from datasets import load_dataset

        for revision in _REVISIONS:
            try:
                return load_dataset(self.name, split=split, revision=revision)
            except (RuntimeError, OSError, ValueError) as error:  # a script; nothing there, no connection; no such split
                reason = said(error).rstrip(".")
                if isinstance(error, ConnectionError):
                    break
        raise UserError(f"{self.name} can't be had from the hub ({reason}); set corpus.path to a local copy (see data/README.md).")
