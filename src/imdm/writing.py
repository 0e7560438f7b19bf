"""The one writer of files: beside their place, then safe on the disk, then renamed.

So a file is there whole or not at all, whenever a process is killed or a machine fails, and the file before it is kept until then.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

NEW = ".new-"  # begins the name of a file that is not whole yet


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Gives a path with the same suffix to write to; at the end its file takes the place of `path`, a link there included.

    It has the permissions that the umask gives, whatever writes it: safetensors makes files for their owner alone.
    """
    path = Path(path)
    beside = path.with_name(NEW + path.name)
    beside.unlink(missing_ok=True)
    beside.touch()
    mode = beside.stat().st_mode & 0o777
    try:
        yield beside
        settle(beside, mode)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync(path.parent)


def settle(path: Path, mode: int) -> None:
    """Give a file its permissions, and return when the disk has it."""
    if path.stat().st_mode & 0o777 != mode:
        path.chmod(mode)
    sync(path)


def sync(path: Path) -> None:
    """Return when the disk has a file's content, or a folder's names."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno != errno.EINVAL or not path.is_dir():  # some file systems know it of files alone
            raise
    finally:
        os.close(opened)
