"""Runs stages as a user does, in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
MICRO = ROOT / "tests" / "micro.yaml"


def command(stage: str, *arguments: str | Path, sets: list[str] | None = None) -> list[str]:
    """The command line of a stage with the micro parameters and some `--set`."""
    script = str(ROOT / "stages" / f"{stage}.py")
    return [
        sys.executable,
        script,
        "--params",
        str(MICRO),
        *map(str, arguments),
        *[part for value in sets or [] for part in ("--set", value)],
    ]


def run(stage: str, *arguments: str | Path, sets: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command(stage, *arguments, sets=sets), capture_output=True, text=True, timeout=300, env=environment)
