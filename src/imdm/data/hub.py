"""A corpus from the Hugging Face hub, through its cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from imdm.errors import UserError

_REVISIONS = (None, "refs/convert/parquet")  # as published; what the hub made of it where that is a script, which no reader takes now


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
        """Texts of a split in their order, read from disk a batch at a time.

        Raises:
            UserError: it can't be had, or isn't complete.
        """
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
                reason = " ".join(str(error).split())[:200].rstrip(".")
                if isinstance(error, ConnectionError):
                    break
        raise UserError(f"{self.name} can't be had from the hub ({reason}); set corpus.path to a local copy (see data/README.md).")
