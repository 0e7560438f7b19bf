"""Where a stage writes: the output is complete or absent, and takes the place of nothing but what the same kind of stage has made.

A stage works in `OUT.partial` beside its output and renames it to `OUT` when all is written and on the disk. What an interrupted
run left in `OUT.partial` is kept for the next one if that has the same fingerprint (parameters, arguments and inputs), and thrown
away otherwise.

Where several stages write files into one folder, as tables/table06.csv, they are moved into it, and `table06.meta.json` takes the
place of meta.json.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from pydantic import with_config
from typing_extensions import TypedDict

from imdm.errors import UserError
from imdm.files import OPEN
from imdm.params import RESERVED
from imdm.stage.artifact import META, MOVE, Meta, read_record, sha256, write_json
from imdm.stage.lock import LOCK, Lock
from imdm.writing import NEW, settle, sync

_MARK, _REPLACED = ".fingerprint", ".replaced"  # in OUT.partial
_PATIENCE = 30  # seconds that the other processes of a training wait for a sign of their first


@with_config(OPEN)
class Mark(TypedDict):
    """Whose a work folder is: what the next process compares itself with."""

    stage: str
    fingerprint: str
    codes: list[str]
    launch: str


class AlreadyMade(Exception):
    """Another process made the output while this one waited for it."""


class Output:
    """The output of one stage run, as a context manager.

    Args:
        out: final folder, or one of its files.
        stage: what makes it.
        fingerprint: digest of the parameters, arguments and inputs.
        code: digest of the code. Work that other code began is gone on with, since an edit of a comment is no reason to
            lose a training; meta.json then names that code too.
        file: whether `out` is a file, of a folder that other stages write to as well.
        lock: whether another process may be writing the same output; it is waited for, which needs a file system with `flock`.

    Raises:
        UserError: the place can't be written, or holds what this kind of stage has not made.
        AlreadyMade: another process was writing the same output, and has finished it.
    """

    def __init__(self, out: str | Path, stage: str, fingerprint: str, code: str = "", file: bool = False, lock: bool = True):
        self.out = Path(out)
        name = self.out.name
        if not name or name.startswith(".") or name.endswith(RESERVED):
            raise UserError(f"--out {out} must end in a name that neither begins with a dot nor ends in {' or '.join(RESERVED)}.")
        self.partial = self.out.with_name(f"{name}.partial")
        self.stage, self.fingerprint, self.code, self.file = stage, fingerprint, code, file
        self.folder, self.meta = (self.out.parent, self.out.with_suffix(f".{META}")) if file else (self.out, self.out / META)
        self.resumed = False
        self.older_code: list[str] = []
        self._lock = Lock(self.partial, flock=lock)

    def __enter__(self) -> Output:
        self._require_own()
        self._require_own_work()
        if self._lock.hold():
            try:
                if self.made():
                    raise AlreadyMade
                self._require_own()
                self._require_own_work()
            except (AlreadyMade, UserError):
                self._lock.release(self.partial)
                raise
        mark = self._mark()
        self.resumed = mark.get("fingerprint") == self.fingerprint
        self._clear(keep_hidden=self.resumed)
        if self.resumed:
            self.older_code = [code for code in mark["codes"] if code != self.code]
        if self.older_code:
            print(f"going on with what other code began in {self.partial}; delete it to start anew", file=sys.stderr, flush=True)
        mark = {"stage": self.stage, "fingerprint": self.fingerprint, "codes": [*self.older_code, self.code], "launch": launch()}
        write_json(self.partial / _MARK, mark)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is not None and issubclass(kind, UserError) and not any(path.is_dir() for path in self.partial.glob(".*")):
            self._clear()  # leaves nothing behind but what the next run can go on with
            self._end(self.partial)
        self._lock.close()

    def _require_own(self, made: frozenset[str] | None = None) -> None:
        """Refuse what stands in the way, unless this kind of stage has made it and it holds nothing else.

        Beside a meta.json that was never written to its end, only files of the new output may lie: `made`, None while not known.
        """
        if self.out.is_symlink():
            _refuse(self.out, "is a link")
        if os.path.lexists(self.out) and self.out.is_dir() == self.file:
            _refuse(self.out, f"is a {'folder' if self.file else 'file'}")
        meta = read_record(self.meta, Meta)
        if meta and meta["stage"] != self.stage:
            _refuse(self.out, f"was made by {meta['stage']}, not by {self.stage}")
        if meta == {}:
            if made is None:
                return
            meta = {"outputs": made}
        own = {META, *(meta["outputs"] if meta else ())}
        standing = (name for name in made or {self.out.name} if os.path.lexists(self.folder / name)) if self.file else self._standing()
        for name in standing:
            if (self.folder / name).is_dir() and self.file:
                _refuse(self.folder / name, "is a folder")
            if name not in own:
                _refuse(self.folder / name, f"stands in the way, and {self.meta} does not say that {self.stage} made it")

    def _standing(self) -> Iterator[str]:
        """The files of the folder, but for what is left of a run that was killed when it had put them in place."""
        killed = (self.out / _MARK).exists()
        for path in self.out.rglob("*"):
            name = str(path.relative_to(self.out))
            left = name == LOCK or name.startswith(".nfs") or (killed and name.startswith("."))
            if not left and (path.is_symlink() or not path.is_dir()):
                yield name

    def _require_own_work(self) -> None:
        """Refuse a work folder that this kind of stage has not begun."""
        try:
            entries = list(self.partial.iterdir())
        except FileNotFoundError:
            entries = []
        except NotADirectoryError:
            _refuse(next(path for path in (self.partial, *self.partial.parents) if path.exists()), "is a file")
        for path in (self.partial, *entries):
            if path.is_symlink():
                _refuse(path, "is a link")
        mark, names = self._mark(), {entry.name for entry in entries}
        if _MARK not in names and not names <= {LOCK, NEW + _MARK} or mark and mark["stage"] != self.stage:
            _refuse(self.partial, f"was not begun by {self.stage}")

    def _mark(self) -> dict[str, Any]:
        """Of the work folder, as `Mark`; empty where there is none, or where a machine failed before the disk had it."""
        return read_record(self.partial / _MARK, Mark) or {}

    def follow(self) -> None:
        """Wait until the first process of this training has begun: the others write nothing, and wait with it for another training.

        Raises:
            UserError: there is no sign of the first process for half a minute, or it makes something else.
            AlreadyMade: another training has finished the output.
        """
        deadline = time.monotonic() + _PATIENCE
        while (mark := self._mark()).get("launch") != launch():
            if self.partial.exists():
                deadline = time.monotonic() + _PATIENCE
            elif time.monotonic() > deadline:
                if self.made():
                    raise AlreadyMade
                raise UserError(f"{self.partial} was not begun by the first process of this training; look at its messages.")
            time.sleep(0.1)
        if mark["fingerprint"] != self.fingerprint:
            raise UserError(f"{self.partial} is made by a first process with other parameters or inputs; start all with the same words.")

    def made(self) -> bool:
        """Whether the output is there, whole, and of this fingerprint."""
        meta = read_record(self.meta, Meta)
        if not meta or meta.get("fingerprint") != self.fingerprint:
            return False
        return all((self.folder / name).is_file() and sha256(self.folder / name) == digest for name, digest in meta["outputs"].items())

    def _clear(self, keep_hidden: bool = False) -> None:
        """Remove all but lock and mark, which tell whose folder it is."""
        for entry in self.partial.iterdir():
            if entry.name not in (LOCK, _MARK) and not (keep_hidden and entry.name.startswith(".")):
                _remove(entry)

    def _end(self, folder: Path) -> None:
        """Remove what is hidden in a folder, the mark last."""
        with contextlib.suppress(OSError):  # what can't be removed does no harm, as long as the mark tells what it is
            for entry in folder.glob(".*"):
                if entry.name not in (LOCK, _MARK):
                    _remove(entry)
            (folder / _MARK).unlink()
        self._lock.release(folder)

    def digests(self) -> dict[str, str]:
        """sha256 of every file that the output will hold, by path inside it."""
        files = {str(path.relative_to(self.partial)): path for path in sorted(self.partial.rglob("*")) if path.is_file()}
        return {name: sha256(path) for name, path in files.items() if not name.startswith(".") and name != META}

    def commit(self, meta: dict[str, Any]) -> None:
        """Write meta.json and put the folder, or the files, in place; hidden files and folders are dropped."""
        made = frozenset(meta["outputs"])
        if self.file and self.out.name not in made:
            raise UserError(f"--out {self.out} is no file that {self.stage} writes; give one of {', '.join(sorted(made))}.")
        self._require_own(made)
        mode = (self.partial / _MARK).stat().st_mode & 0o777
        for name in made:
            settle(self.partial / name, mode)
        for folder in {(self.partial / name).parent for name in made}:
            sync(folder)
        write_json(self.partial / META, meta | {"stage": self.stage, "fingerprint": self.fingerprint})
        if self.file:
            for name in set((read_record(self.meta, Meta) or {"outputs": ()})["outputs"]) - made:
                with contextlib.suppress(IsADirectoryError):
                    (self.folder / name).unlink(missing_ok=True)
            os.replace(self.partial / META, self.meta)  # first: it tells a run after a kill that it may replace the files
            for name in made:
                os.replace(self.partial / name, self.folder / name)
        else:
            _remove(self.partial / _REPLACED)
            if self.out.exists():
                os.rename(self.out, self.partial / _REPLACED)
            os.rename(self.partial, self.out)
        sync(self.out.parent)
        self._end(self.partial if self.file else self.out)  # only now, since a run that is killed before goes on from what is hidden


def launch() -> str:
    """What the processes of one training have in common, and those of another that writes the same output have not."""
    if "SLURM_PROCID" in os.environ:  # a job inherits the environment of who submitted it, but these are its own
        return " ".join(os.environ.get(f"SLURM_{name}", "") for name in ("JOB_ID", "STEP_ID", "RESTART_COUNT"))
    # Processes that this one starts inherit it, whatever else they are told.
    names = ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT")
    return os.environ.setdefault("IMDM_LAUNCH", " ".join(os.environ.get(name, "") for name in names))


def _refuse(path: Path, reason: str) -> NoReturn:
    raise UserError(f"{path} {reason}; {MOVE}.")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
