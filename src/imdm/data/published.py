"""Published corpora: from the Hugging Face hub, through its cache, or as the tar that their authors gave.

A tar is read as a stream: nothing is extracted, and memory does not grow with it.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, Self

from imdm.errors import UserError
from imdm.files import require_regular, said

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
                reason = said(error).rstrip(".")
                if isinstance(error, ConnectionError):
                    break
        raise UserError(f"{self.name} can't be had from the hub ({reason}); set corpus.path to a local copy (see data/README.md).")


TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".xz")  # .xz: the tars inside the one of OpenWebText are named so
# By a file's first bytes.
_PACKED: dict[bytes, Callable[[BufferedReader], Any]] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ": lzma.open, b"BZh": bz2.open}


class _Member(tarfile.TarInfo):
    """A member whose header is whole; tarfile takes a damaged or missing one for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # zeros, which are the end
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from None


def tar_members(file: BufferedReader) -> Iterator[tuple[str, BufferedReader]]:
    """Name and content of the regular files of a tar, plain or packed, in its order; read one before asking for the next.

    The archive is read to its end, so that whatever checks it has (headers, the mark of the end, gzip's and xz's sums) are made.
    """
    first = file.peek(8)
    unpack = next((unpack for magic, unpack in _PACKED.items() if first.startswith(magic)), None)
    with unpack(file) if unpack else contextlib.nullcontext(file) as plain, tarfile.open(fileobj=plain, mode="r|", tarinfo=_Member) as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # tarfile would remember every member, which for eight million pages is gigabytes
            content = tar.extractfile(member) if member.isfile() else None
            if isinstance(content, BufferedReader):
                yield member.name, content
        while rest := tar.fileobj.read(1 << 20):
            if rest.count(0) < len(rest):
                raise tarfile.ReadError("there is something behind its end")


@contextlib.contextmanager
def open_tar(path: Path) -> Iterator[BufferedReader]:
    """An archive to read. Raises UserError: it is missing, unreadable, cut off, damaged or no tar."""
    require_regular(path, f"correct it (corpus.path is relative to {Path.cwd()})")
    try:
        with path.open("rb") as file:
            yield file
    except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error, ValueError, OverflowError) as error:
        raise UserError(f"{path} is no tar archive, or a broken one ({said(error)}); fetch it again or correct corpus.path.") from None
