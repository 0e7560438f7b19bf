"""Runs stages that are stopped by a signal at a chosen change of their files.

Between two changes of its files a process has nothing more to lose, so these moments stand for all others, and a test
that names one meets it each time. The processes are forked from a server that has imported torch, which saves seconds.
"""

from __future__ import annotations

import fcntl
import importlib
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from script import options

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["torch", "transformers.models.gpt2.modeling_gpt2", "pandas", "safetensors.torch", "scipy.stats"])


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


def run(stage: str, out: Path, *arguments: str | Path, sets: Sequence[str] = (), stop: tuple[int | str, int] | None = None) -> Ended:
    """Run a stage with the micro parameters in a process of its own.

    Args:
        stop: (change, signal): the process gets the signal just before this change, given by number from 0 or by its line.
    """
    argv = options(*arguments, "--out", out, sets=sets)
    texts = {name: out.with_name(f"{out.name}-{name}.log") for name in ("said", "changes")}
    for path in texts.values():
        path.write_text("")
    process = _SERVER.Process(target=_run, args=(stage, argv, out.parent, texts, stop))
    process.start()
    process.join(120)
    assert process.exitcode is not None, f"{stage} did not end"
    _wait_until_free(texts["said"])
    said, changes = (path.read_text() for path in texts.values())
    return Ended(process.exitcode, said, changes.splitlines())


def _run(stage: str, argv: list[str], folder: Path, texts: dict[str, Path], stop: tuple[int | str, int] | None) -> None:
    said, changes = (os.open(path, os.O_WRONLY | os.O_APPEND) for path in texts.values())
    os.dup2(said, 2)
    fcntl.flock(said, fcntl.LOCK_EX)  # workers inherit stderr, and so hold the lock as long as they live
    number = 0

    def watch(event: str, arguments: tuple) -> None:
        nonlocal number
        change = _change(event, arguments, folder)
        if change is None:
            return
        if stop and stop[0] in (number, change):
            os.kill(os.getpid(), stop[1])
        os.write(changes, f"{change}\n".encode())
        number += 1

    sys.addaudithook(watch)
    from imdm.stage.job import run_stage

    module = importlib.import_module(stage)
    sys.exit(run_stage(module.__file__, module.__doc__, module.READS, module.arguments, module.run, argv))


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
    if event not in ("open", "os.mkdir", "os.rename", "os.remove", "shutil.rmtree"):
        return None
    paths = arguments[: 2 if event == "os.rename" else 1]
    if not all(isinstance(path, str | Path) and str(path).startswith(f"{folder}/") for path in paths):
        return None
    return " ".join([event.rpartition(".")[2], *(str(path)[len(f"{folder}/") :] for path in paths)])
