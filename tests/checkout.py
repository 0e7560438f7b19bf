"""A copy of the project as a fresh clone has it, and the commands to run in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from forks import snakemake
from imdm.params import load_params, resolved_yaml

ROOT = Path(__file__).resolve().parents[1]
FILES = (
    ".dvc/config",
    ".dvc/.gitignore",
    ".dvcignore",
    ".gitignore",
    "Snakefile",
    "dvc.yaml",
    "dvc.lock",
    "params.yaml",
    "environment.yml",
)
FOLDERS = ("workflow", "stages", "src")


def clone(target: Path, params: str = "params.yaml", sets: tuple[str, ...] = (), dvc: bool = False) -> Path:
    """Copy the project to `target` and commit it there.

    Args:
        params, sets: the experiment that is its params.yaml.
        dvc: whether dvc.yaml is written for that experiment; else it is the project's own.
    """
    for name in FILES:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target / name)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    if params != "params.yaml" or sets:
        (target / "params.yaml").write_text(resolved_yaml(load_params(ROOT / params, sets)))
    if dvc:
        run(target, sys.executable, "workflow/write_dvc.py")
    run(target, "git", "init", "--quiet")
    commit(target)
    return target


def commit(target: Path) -> None:
    """Commit everything in `target`."""
    run(target, "git", "add", "--all")
    run(target, "git", "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "--quiet", "--message", "test")


def run(target: Path, *command: str) -> str:
    """Run a command in `target` with this interpreter's programs first; its output, or an AssertionError that shows it."""
    if command[0] == "snakemake" and not {"-n", "--dry-run", "--lint"}.isdisjoint(command):
        done = snakemake(target, *command[1:])
    else:
        done = _subprocess(target, *command)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout


def _subprocess(target: Path, *command: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    quiet = {"PATH": path, "DVC_NO_ANALYTICS": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "400"}
    return subprocess.run(command, cwd=target, env=os.environ | quiet, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
