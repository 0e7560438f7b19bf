"""Tar archives read as a stream: nothing is extracted, and memory does not grow with the archive."""

from __future__ import annotations

import contextlib
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from imdm.errors import UserError

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".xz")  # .xz: the tars inside the one of OpenWebText are named so


def members(file: BinaryIO) -> Iterator[tuple[str, BinaryIO]]:
    """Name and content of the regular files of a tar, plain or packed, in its order; read one before asking for the next."""
    with tarfile.open(fileobj=file, mode="r|*") as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # tarfile would remember every member, which for eight million pages is gigabytes
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                yield member.name, content


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """An archive to read, with one sentence where it turns out to be broken.

    Raises:
        UserError: it is missing, unreadable, cut off or no tar.
    """
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise UserError(f"corpus.path = {str(path)!r} does not exist; correct it (it is relative to {Path.cwd()}).") from None
    except PermissionError:
        raise UserError(f"{path} can't be read; change its permissions or corpus.path.") from None
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise UserError(f"{path} is no tar archive, or a broken one ({error}); fetch it again or correct corpus.path.") from None
