"""A copy of the project as a fresh clone has it, and the commands to run in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", "Snakefile", "dvc.yaml", "params.yaml", "environment.yml")
FOLDERS = ("workflow", "stages", "src")


def clone(target: Path, params: str = "params.yaml") -> Path:
    """Copy the project to `target` with `params` as its params.yaml, and commit it there."""
    for name in FILES:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / (params if name == "params.yaml" else name), target / name)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    run(target, "git", "init", "--quiet")
    commit(target)
    return target


def commit(target: Path) -> None:
    """Commit everything in `target`."""
    run(target, "git", "add", "--all")
    run(target, "git", "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "--quiet", "--message", "test")


def run(target: Path, *command: str) -> str:
    """Run a command in `target` with this interpreter's programs first; its output, or an AssertionError that shows it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    quiet = {"PATH": path, "DVC_NO_ANALYTICS": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "400"}
    done = subprocess.run(command, cwd=target, env=os.environ | quiet, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout
