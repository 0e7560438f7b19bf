"""Published corpora: from the Hugging Face hub, through its cache, or as the tar that their authors gave.

A tar is read as a stream: nothing is extracted, and memory does not grow with it.
"""

from __future__ import annotations

import contextlib
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

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
                reason = " ".join(str(error).split())[:200].rstrip(".")
                if isinstance(error, ConnectionError):
                    break
        raise UserError(f"{self.name} can't be had from the hub ({reason}); set corpus.path to a local copy (see data/README.md).")


TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".xz")  # .xz: the tars inside the one of OpenWebText are named so


def tar_members(file: BinaryIO) -> Iterator[tuple[str, BinaryIO]]:
    """Name and content of the regular files of a tar, plain or packed, in its order; read one before asking for the next."""
    with tarfile.open(fileobj=file, mode="r|*") as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # tarfile would remember every member, which for eight million pages is gigabytes
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                yield member.name, content


@contextlib.contextmanager
def open_tar(path: Path) -> Iterator[BinaryIO]:
    """An archive to read. Raises UserError: it is missing, unreadable, cut off or no tar."""
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise UserError(f"corpus.path = {str(path)!r} does not exist; correct it (it is relative to {Path.cwd()}).") from None
    except PermissionError:
        raise UserError(f"{path} can't be read; change its permissions or corpus.path.") from None
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise UserError(f"{path} is no tar archive, or a broken one ({error}); fetch it again or correct corpus.path.") from None
