"""Runs stages with the micro parameters: in this process, which saves the imports, or in one of its own, as a user does."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from checkout import ROOT
from imdm.stage.job import run_stage

MICRO = ROOT / "tests/micro.yaml"


def options(*arguments: object, sets: Sequence[str] = ()) -> list[str]:
    """The words after a stage's name; a Path or number may be an argument."""
    return ["--params", str(MICRO), *map(str, arguments), *[part for value in sets for part in ("--set", value)]]


def command(stage: str, *arguments: object, sets: Sequence[str] = ()) -> list[str]:
    """The command line of a stage."""
    return [sys.executable, str(ROOT / f"stages/{stage}.py"), *options(*arguments, sets=sets)]


@functools.cache
def module(stage: str) -> ModuleType:
    """The script as a module; `tabulate` and others are also packages, so it is found by its path."""
    spec = importlib.util.spec_from_file_location(f"stage_{stage}", ROOT / f"stages/{stage}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def run(stage: str, *arguments: object, sets: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run a stage in this process; its exit code, and what it wrote to stdout and stderr. Exceptions go through."""
    script = module(stage)
    return called(
        lambda words: run_stage(script.__file__, script.__doc__, script.READS, script.arguments, script.run, words),
        options(*arguments, sets=sets),
    )


def called(main: Callable[[list[str]], int], words: list[str]) -> subprocess.CompletedProcess[str]:
    """Call a script's `main` with these arguments, as if they were its command line."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(words)
        except SystemExit as ended:
            code = ended.code
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def made(stage: str, out: Path, *arguments: object, sets: Sequence[str] = ()) -> Path:
    """The folder that a stage has written."""
    done = run(stage, *arguments, "--out", out, sets=sets)
    assert done.returncode == 0, done.stderr
    return out
