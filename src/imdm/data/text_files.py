"""Text out of files, streamed: the corpus `files`, the user's own; and lines, records and tars, which other corpora read too.

A tar is read as a stream: nothing is extracted, and memory does not grow with it.
"""

from __future__ import annotations

import bz2
import contextlib
import glob
import gzip
import json
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, Self

from imdm.errors import UserError
from imdm.files import parse_json, require_regular, said
from imdm.params import Corpus

LONGEST = 1 << 24  # bytes of a line or page
SUFFIXES = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz")
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".xz")  # .xz: the tars inside the one of OpenWebText are named so
# By a file's first bytes.
_PACKED: dict[bytes, Callable[[BufferedReader], Any]] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ": lzma.open, b"BZh": bz2.open}


def documents(corpus: Corpus) -> Iterator[str]:
    """Documents of the files that `corpus.path` matches, by sorted file name, in the order of the file.

    In .txt and .txt.gz a document is what `corpus.documents` says; in .jsonl (or .jsonl.gz) it is the field
    `corpus.text_field` of a record. Empty documents are left out, outer white space too.

    Raises:
        UserError: no file matches; a file is of another type, isn't UTF-8, or a record isn't what it should be.
    """
    for path in find_files(corpus.path or "", SUFFIXES):
        if ".jsonl" in path.suffixes:
            texts = records(path, corpus.text_field)
        elif corpus.documents == "line":
            texts = (line for _, line in _lines(path))
        else:
            texts = _blocks(path)
        for document in texts:
            if stripped := document.strip():
                yield stripped


def find_files(pattern: str, suffixes: tuple[str, ...]) -> list[Path]:
    """Files that a glob (`**` for any depth, `~` for home) matches, sorted.

    Args:
        suffixes: endings of the types that can be read.

    Raises:
        UserError: there are none, or one is of a type that can't be read.
    """
    matches = glob.glob(str(Path(pattern).expanduser()), recursive=True)
    files = sorted(path for path in map(Path, matches) if not path.is_dir())
    if not files:
        raise UserError(f"corpus.path = {pattern!r} matches no file; correct the glob (it is relative to {Path.cwd()}).")
    for path in files:
        if not path.name.endswith(suffixes):
            raise UserError(f"{path} is none of {', '.join(suffixes)}; rename it, or narrow corpus.path = {pattern!r}.")
        require_regular(path, f"mend it, or narrow corpus.path = {pattern!r}")
    return files


def decoded_lines(file: BinaryIO | gzip.GzipFile, name: str) -> Iterator[tuple[int, str]]:
    """Numbered lines (from 1) without ends or byte-order mark. Raises UserError: one of the file `name` isn't UTF-8 or too long."""
    offset, number = 0, 0
    try:
        for number, raw in enumerate(iter(lambda: file.readline(LONGEST + 1), b""), start=1):
            if len(raw) > LONGEST:
                raise UserError(f"{name}, line {number} is longer than {LONGEST >> 20} MiB; break it into lines, if it is text at all.")
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            yield number, line.rstrip("\r\n")
            offset += len(raw)
    except UnicodeDecodeError as error:
        place = f"line {number}, byte {offset + error.start}"
        raise UserError(f"{name} is not UTF-8 ({place}); convert it, for example with iconv -f LATIN1 -t UTF-8.") from None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a file, packed by gzip or not, as `decoded_lines` gives them."""
    number = 0
    try:
        if path.suffix == ".gz" and not path.stat().st_size:
            raise EOFError
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in decoded_lines(file, str(path)):
                yield number, line
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise UserError(f"{path} is a broken gzip file after line {number}; fetch it again or leave it out of corpus.path.") from None


def _blocks(path: Path) -> Iterator[str]:
    """Runs of lines between blank ones."""
    block: list[str] = []
    for _, line in _lines(path):
        if not line.strip():
            yield "\n".join(block)
            block.clear()
        else:
            block.append(line)
    yield "\n".join(block)


def records(path: Path, field: str) -> Iterator[str]:
    """The text field of each JSON record, one a line. Raises UserError: a record isn't what it should be, in which line."""
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            record = parse_json(line)
        except ValueError as error:
            raise UserError(f"{path}, line {number} is not valid JSON ({said(error)}); mend or delete the line.") from None
        if not isinstance(record, dict):
            raise UserError(f"{path}, line {number} is not a JSON object; each line must be a record such as {{{json.dumps(field)}: ...}}.")
        if field not in record:
            fields = said(", ".join(record)) or "none at all"
            raise UserError(f"{path}, line {number} has no field {field!r}; set corpus.text_field to one that it has ({fields}).")
        if not isinstance(record[field], str):
            raise UserError(f"{path}, line {number}: field {field!r} is not text; set corpus.text_field to one that is.")
        yield record[field]


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
