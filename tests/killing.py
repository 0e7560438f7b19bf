"""Runs stages that are stopped at a chosen change of their files.

Between two changes of its files a process has nothing more to lose, so these moments stand for all others, and a test
that names one meets it each time. The processes are those of `forks`.

A stop is a signal, which the process gets just before the change; or OPENED: killed between opening a file and writing to it, the
next that is opened; or POWER: killed with the machine, which loses what was written since the start and not yet told to the disk.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from forks import SERVER
from script import module, options

OPENED, POWER = "opened", "power"
Stop = tuple[int | str, int | str]  # the change, by number from 0 or by its line, and how


@dataclass
class Ended:
    """How a stage ended.

    Attributes:
        code: exit code; -9 after SIGKILL.
        said: its stderr.
        changes: of files beside and below --out, one line each: what is done, and the paths relative to its parent.
    """

    code: int
    said: str
    changes: list[str]


def run(stage: str, out: Path, *arguments: str | Path, sets: Sequence[str] = (), stop: Stop | None = None) -> Ended:
    """Run a stage with the micro parameters in a process of its own.

    Args:
        stop: when and how the process is stopped.
    """
    argv = options(*arguments, "--out", out, sets=sets)
    texts = {name: out.with_name(f"{out.name}-{name}.log") for name in ("said", "changes")}
    for path in texts.values():
        path.write_text("")
    process = SERVER.Process(target=_run, args=(stage, argv, out.parent, texts, stop))
    process.start()
    process.join(600)
    assert process.exitcode is not None, f"{stage} did not end"
    _wait_until_free(texts["said"])
    said, changes = (path.read_text() for path in texts.values())
    return Ended(process.exitcode, said, changes.splitlines())


def _run(stage: str, argv: list[str], folder: Path, texts: dict[str, Path], stop: Stop | None) -> None:
    said, changes = (os.open(path, os.O_WRONLY | os.O_APPEND) for path in texts.values())
    os.dup2(said, 1), os.dup2(said, 2)
    fcntl.flock(said, fcntl.LOCK_EX)  # workers inherit stderr, and so hold the lock as long as they live
    number, stopping = 0, False
    lose = _unsynced(folder) if stop and stop[1] == POWER else lambda: None

    def watch(event: str, arguments: tuple) -> None:
        nonlocal number, stopping
        change = None if stopping else _change(event, arguments, folder)
        if change is None:
            return
        if stop and stop[1] == OPENED:
            due = event == "open" and type(stop[0]) is int and number >= stop[0]
        else:
            due = bool(stop) and stop[0] in (number, change)
        if due:
            stopping = True
            if stop[1] == OPENED:
                os.open(arguments[0], arguments[2], 0o666)
            lose()
            os.kill(os.getpid(), stop[1] if isinstance(stop[1], int) else signal.SIGKILL)
            stopping = False
        os.write(changes, f"{change}\n".encode())
        number += 1

    sys.addaudithook(watch)
    from imdm.stage.job import run_stage

    script = module(stage)
    sys.exit(run_stage(script.__file__, script.__doc__, script.READS, script.arguments, script.run, argv))


def _unsynced(folder: Path) -> Callable[[], None]:
    """A function that empties every file which was written from now on, and since then not synchronised."""
    start, synced, fsync = time.time_ns() - 10_000_000, {}, os.fsync

    def watched(opened: int) -> None:
        fsync(opened)
        state = os.fstat(opened)
        synced[state.st_ino] = state.st_mtime_ns

    def lose() -> None:
        for path in folder.rglob("*"):
            state = path.lstat()
            if path.is_file() and path.suffix != ".log" and state.st_mtime_ns > max(start, synced.get(state.st_ino, 0)):
                os.truncate(path, 0)

    os.fsync = watched
    return lose


def _wait_until_free(path: Path) -> None:
    """Return when no process that a stage has started is left."""
    with path.open() as file:
        for _ in range(200):
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.1)
    raise AssertionError(f"a process outlives the stage of {path.name}")


def _change(event: str, arguments: tuple, folder: Path) -> str | None:
    """A change of a file below `folder` as a line; None for all else."""
    if event == "open" and not (arguments[2] & (os.O_WRONLY | os.O_RDWR)):
        return None
    if event not in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"):
        return None
    paths = arguments[: 2 if event == "os.rename" else 1]
    if not all(isinstance(path, str | Path) and str(path).startswith(f"{folder}/") for path in paths):
        return None
    return " ".join([event.rpartition(".")[2], *(str(path)[len(f"{folder}/") :] for path in paths)])
