"""One writer at a time in a folder that all of them make, and that goes with the last."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
from pathlib import Path
from typing import Any

from imdm.errors import UserError

LOCK = ".lock"  # the file in the folder


class Lock:
    """The folder with a file that one process at a time has locked; without `flock`, which a file system may lack, the folder alone.

    A second writer is no mistake of the user: the jobs of a Snakemake that was killed go on, and are submitted again.
    """

    def __init__(self, folder: Path, flock: bool):
        self.folder, self.flock = folder, flock
        self._file: Any = None

    def hold(self) -> bool:
        """Make the folder, and wait until no other process writes there; whether there was one. Raises UserError: it can't be written."""
        waited = False
        for _ in range(1000):
            self._make_folder()
            if not self.flock:
                return False
            try:
                self._file = open(self.folder / LOCK, "a", opener=_no_link)  # noqa: SIM115 (held until `close`)
            except FileNotFoundError:  # the other process has just finished
                continue
            except OSError as error:
                _remove_empty(self.folder)
                raise self._unwritable(error) from None
            try:
                try:
                    fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    print(f"waiting for the process that is writing {self.folder}", file=sys.stderr, flush=True)
                    waited = True
                    fcntl.flock(self._file, fcntl.LOCK_EX)
                if os.path.samestat(os.fstat(self._file.fileno()), (self.folder / LOCK).lstat()):
                    return waited
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ESTALE):  # it went with what the other process finished
                    self.release(self.folder)
                    remedy = "set runtime.lock to false, and let no two jobs write the same output"
                    raise UserError(f"{self.folder} can't be locked ({error.strerror}); {remedy}.") from None
            self._file.close()
        raise UserError(f"{self.folder} is always removed again; choose another --out.")

    def close(self) -> None:
        """Let the next process have the folder as it is."""
        if self._file:
            self._file.close()

    def release(self, folder: Path) -> None:
        """Let the next process begin anew, and remove the folder, wherever it is now, if nothing else is in it."""
        # The file goes before it is unlocked, so that who waits for it begins anew, and is closed before the folder goes: on a
        # shared file system an open file stays there under another name.
        if self.flock:
            (folder / LOCK).unlink(missing_ok=True)
        self.close()
        _remove_empty(folder)

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            went = isinstance(error, FileExistsError) and self.folder.parent.is_dir() and not os.path.lexists(self.folder)
            if not went:  # while `mkdir` looked at it
                raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(f"{self.folder} can't be written ({error.strerror}); choose another --out.")


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)  # nor wait for who reads a pipe
