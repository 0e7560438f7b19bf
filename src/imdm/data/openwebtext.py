"""OpenWebText (Gokaslan and Cohen 2019), one web page a document; the last ones are for validation, as MDLM takes them."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from imdm.data import text_files
from imdm.data.hub import HubCorpus
from imdm.data.text_files import TAR_SUFFIXES, open_tar, tar_members
from imdm.errors import UserError
from imdm.files import said
from imdm.params import Corpus

HUB = HubCorpus("Skylion007/openwebtext", {"train": 8_013_769})
SUFFIXES = (*TAR_SUFFIXES, ".parquet", ".jsonl", ".jsonl.gz")
_BLANK_LINES = re.compile("\n\n\n+")


def documents(corpus: Corpus) -> Iterator[tuple[str, bool]]:
    """(page, whether it is held out): from the hub, or files of a glob (tar, .parquet, .jsonl) by name; the last ones are held out.

    The pages that may still turn out to be the last wait in a queue: 100,000 pages of 5,000 characters are 0.5 to 1 GB,
    whatever the size of the corpus. Counting first would read 40 GB twice, which for the tar means to unpack it twice.

    Raises:
        UserError: the corpus can't be had, or a file isn't what it should be.
    """
    waiting: deque[str] = deque()
    for page in HUB.texts("train") if corpus.path is None else _local(corpus.path, corpus.text_field):
        waiting.append(page)
        if len(waiting) > corpus.valid_documents:
            yield waiting.popleft(), False
    while waiting:
        yield waiting.popleft(), True


def _local(pattern: str, field: str) -> Iterator[str]:
    for path in text_files.find_files(pattern, SUFFIXES):
        if path.suffix == ".parquet":
            yield from _column(path, field)
        elif ".jsonl" in path.suffixes:
            yield from text_files.records(path, field)
        else:
            with open_tar(path) as file:
                yield from _pages(file, str(path))


def _pages(file: BufferedReader, name: str) -> Iterator[str]:
    """Pages of a tar of .txt files or of tars of such, cleaned as in the hub's copy: ends stripped, one blank line at most."""
    for inner, content in tar_members(file):
        if inner.endswith(TAR_SUFFIXES):
            yield from _pages(content, f"{name}: {inner}")
        elif inner.endswith(".txt"):
            try:
                page = content.read(text_files.LONGEST + 1)
                if len(page) > text_files.LONGEST:
                    raise UserError(f"{name}: {inner} is longer than {text_files.LONGEST >> 20} MiB; fetch the archive again.")
                text = page.decode()
            except UnicodeDecodeError as error:
                raise UserError(f"{name}: {inner} is not UTF-8 (byte {error.start}); fetch the archive again.") from None
            yield _BLANK_LINES.sub("\n\n", text).strip()


def _column(path: Path, field: str) -> Iterator[str]:
    """The text column of a parquet file, a batch of rows in memory at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as table:
            if field not in table.schema_arrow.names:
                columns = ", ".join(table.schema_arrow.names)
                raise UserError(f"{path} has no column {field!r}; set corpus.text_field to one that it has ({columns}).")
            kind = table.schema_arrow.field(field).type
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                raise UserError(f"{path}: column {field!r} is {kind}, not text; set corpus.text_field to one that is.")
            for batch in table.iter_batches(1000, columns=[field]):
                yield from batch.column(0).fill_null("").to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{path} is no parquet file, or a broken one ({said(error)}); fetch it again or correct corpus.path.") from None
