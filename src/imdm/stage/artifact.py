"""Artifacts: directories (or a few files of one folder) that are either complete or absent.

A stage works in `OUT.partial` beside its output and renames it to `OUT` when all is written. What an
interrupted run left in `OUT.partial` is kept for the next one if that has the same fingerprint
(parameters, arguments and inputs), and thrown away otherwise. `meta.json` in the artifact holds the
sha256 of each file; a consumer checks them before it starts.

An `OUT` with a suffix, as tables/table06.csv, is files of a folder that several stages write to: they are
moved into it, and `table06.meta.json` takes the place of meta.json.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from imdm.errors import UserError

META = "meta.json"
_LOCK = ".lock"
_FINGERPRINT = ".fingerprint"
_LAUNCH = ".launch"
_PATIENCE = 30  # seconds that the other processes of a training wait for a sign of the first


def sha256(path: str | Path) -> str:
    """Hex digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: str | Path, value: Any) -> None:
    """Write indented JSON with sorted keys, so that equal values give equal bytes."""
    Path(path).write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_meta(file: str | Path) -> dict[str, Any] | None:
    """The meta.json (or STEM.meta.json) of the artifact that a file belongs to, or None where there is none."""
    file = Path(file)
    for path in sorted(file.parent.glob(f"*{META}")):
        meta = json.loads(path.read_text(encoding="utf-8"))
        if path.name == META or file.name in meta["outputs"]:
            return meta
    return None


def artifact_files(folder: str | Path) -> list[Path]:
    """Every file of the finished artifacts below a folder, but for meta.json and work in progress, sorted."""
    files = (path for path in sorted(Path(folder).rglob("*")) if path.is_file() and not path.name.endswith(META))
    unfinished = (".partial", ".old")
    return [path for path in files if not any(part.endswith(unfinished) or part.startswith(".") for part in path.relative_to(folder).parts)]


def verify(file: str | Path) -> str:
    """Check that an input exists, isn't empty, and is what its producer wrote.

    Args:
        file: one file, or a folder of artifacts, all of whose finished files are checked.

    Returns:
        The file's sha256, or one digest over those of the folder.

    Raises:
        UserError: it is missing or empty, or differs from the digest in the meta.json beside it.
    """
    file = Path(file)
    if file.is_dir():
        digests = {str(path): verify(path) for path in artifact_files(file)}
        if not digests:
            raise UserError(f"{file} holds no finished artifact; run the stages that make it.")
        return hashlib.sha256(json.dumps(digests).encode()).hexdigest()
    if not file.is_file():
        raise UserError(f"{file} does not exist; run `snakemake {file}` for it, or correct the path.")
    if file.stat().st_size == 0:
        raise UserError(f"{file} is empty; delete it and run the stage that makes it again.")
    digest = sha256(file)
    meta = read_meta(file)
    recorded = (meta or {}).get("outputs", {}).get(file.name)
    if recorded is not None and recorded != digest:
        raise UserError(
            f"{file} is damaged or was edited (its sha256 is not the one in {META}); delete it and run stage {meta['stage']} again."
        )
    return digest


class AlreadyMade(Exception):
    """Another process made the artifact while this one waited for it."""


class Artifact:
    """The output directory of one stage run, as a context manager.

    Args:
        out: final directory, or one of its files where its name has a suffix.
        fingerprint: digest of the parameters, arguments and inputs.
        code: digest of the code. Work that other code began is gone on with, since an edit of a comment is no reason to
            lose a training; meta.json then names that code too.

    Raises:
        UserError: the place can't be written.
        AlreadyMade: another process was writing the same artifact, and has finished it.
    """

    def __init__(self, out: str | Path, fingerprint: str, code: str = ""):
        self.out = Path(out)
        self.partial = self.out.with_name(self.out.name + ".partial")
        self.fingerprint, self.code = fingerprint, code
        self.resumed, self.older_code = False, []
        self._lock: Any = None

    def __enter__(self) -> Artifact:
        waited = self._hold()
        if waited and self.made():
            self._lock.close()
            shutil.rmtree(self.partial)
            raise AlreadyMade
        mark = self.partial / _FINGERPRINT
        fingerprint, *codes = mark.read_text().splitlines() if mark.exists() else [""]
        self.resumed = fingerprint == self.fingerprint
        if self.resumed:
            self.older_code = [code for code in codes if code != self.code]
        else:
            self._clear()
        if self.older_code:
            print(f"going on with what other code began in {self.partial}; delete it to start anew", file=sys.stderr, flush=True)
        mark.write_text("\n".join([self.fingerprint, *self.older_code, self.code]))
        (self.partial / _LAUNCH).write_text(launch())
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        self._lock.close()
        if kind is not None and issubclass(kind, UserError):  # leaves nothing behind but what the next run can go on with
            resumable = any(entry.is_dir() and entry.name.startswith(".") for entry in self.partial.iterdir())
            if not resumable:
                shutil.rmtree(self.partial)

    def _hold(self) -> bool:
        """Lock the work directory, after another process that writes the same artifact; whether there was one.

        Two writers are no mistake of the user: the jobs of a Snakemake that was killed go on, and are submitted again.
        """
        waited = False
        while True:
            try:
                self.partial.mkdir(parents=True, exist_ok=True)
                self._lock = open(self.partial / _LOCK, "w")  # noqa: SIM115 (held until __exit__)
            except FileNotFoundError:  # between the two lines the other process has finished
                continue
            except OSError as error:
                raise UserError(f"{self.partial} can't be written ({error.strerror}); choose another --out.") from None
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"waiting for the process that is writing {self.out}", file=sys.stderr, flush=True)
                waited = True
                fcntl.flock(self._lock, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._lock.fileno()), (self.partial / _LOCK).stat()):
                    return waited
            self._lock.close()  # it went with the artifact that the other process finished

    def made(self) -> bool:
        """Whether it is there, of the same parameters, arguments and inputs."""
        meta = self._meta_place()
        return meta.exists() and json.loads(meta.read_text(encoding="utf-8")).get("fingerprint") == self.fingerprint

    def _meta_place(self) -> Path:
        return self.out.with_suffix(f".{META}") if self.out.suffix else self.out / META

    def _clear(self) -> None:
        for entry in self.partial.iterdir():
            if entry.name != _LOCK:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def digests(self) -> dict[str, str]:
        """sha256 of every file that the artifact will hold, by path inside it."""
        files = (path for path in sorted(self.partial.rglob("*")) if path.is_file())
        names = {str(path.relative_to(self.partial)): path for path in files}
        return {name: sha256(path) for name, path in names.items() if not name.startswith(".") and name != META}

    def commit(self, meta: dict[str, Any]) -> None:
        """Write meta.json and put the directory, or its files, in place; hidden files and folders are dropped."""
        meta = meta | {"fingerprint": self.fingerprint}
        if self.out.suffix:
            place = self._meta_place()
            place.unlink(missing_ok=True)
            for name in meta["outputs"]:
                os.replace(self.partial / name, self.out.parent / name)
            write_json(self.partial / META, meta)
            os.replace(self.partial / META, place)
            shutil.rmtree(self.partial)
            return
        write_json(self.partial / META, meta)
        old = self.out.with_name(self.out.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        old.mkdir()
        if self.out.exists():
            os.rename(self.out, old / "replaced")
        os.rename(self.partial, self.out)
        for entry in self.out.glob(".*"):  # only now, since a run that is killed before goes on from them
            os.rename(entry, old / entry.name)
        shutil.rmtree(old, ignore_errors=True)


def launch() -> str:
    """What the processes of one training have in common, and those of another that writes the same artifact have not."""
    names = ("SLURM_JOB_ID",) if "SLURM_PROCID" in os.environ else ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT")
    # Processes that this one starts inherit it, whatever else they are told.
    return os.environ.setdefault("IMDM_LAUNCH", " ".join(os.environ.get(name, "") for name in names))


class Follower:
    """The same place as seen by the other processes of a training on several devices, which write nothing.

    They begin after their first process, and so wait with it for another training that writes the same artifact.

    Raises:
        UserError: there is no sign of the first process for half a minute, or it makes something else.
        AlreadyMade: another training has finished the artifact.
    """

    def __init__(self, out: str | Path, fingerprint: str, code: str = ""):
        self.place = Artifact(out, fingerprint, code)
        self.partial, self.fingerprint, self.resumed = self.place.partial, fingerprint, True

    def __enter__(self) -> Follower:
        deadline = time.monotonic() + _PATIENCE
        while _text(self.partial / _LAUNCH) != launch():
            if self.partial.exists():
                deadline = time.monotonic() + _PATIENCE
            elif time.monotonic() > deadline:
                if self.place.made():
                    raise AlreadyMade
                raise UserError(f"{self.partial} was not begun by the first process of this training; look at its messages.")
            time.sleep(0.1)
        if not (_text(self.partial / _FINGERPRINT) or "").startswith(self.fingerprint):
            raise UserError(f"{self.partial} is made by a first process with other parameters or inputs; start all with the same words.")
        return self

    def __exit__(self, *_: Any) -> None:
        pass


def _text(path: Path) -> str | None:
    """None where there is no file."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
