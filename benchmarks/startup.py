"""How long it takes until work begins: imports of each stage, and Snakemake and DVC with nothing to do."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import ROOT
from imdm.stage.reads import of_stages


def stage_imports(script: Path) -> str:
    """The import statements of a stage's top level and of its `run`, one a line."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    run = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "run")
    statements = [ast.unparse(node) for node in [*tree.body, *run.body] if isinstance(node, ast.Import | ast.ImportFrom)]
    return "\n".join(["import sys; sys.path.append('stages')", *statements])  # last, as a script puts it there: see stages/_src.py


def commands() -> dict[str, list[str]]:
    """What is timed, by name."""
    tools = Path(sys.executable).parent
    timed = {
        f"imports of stages/{stage}.py": [sys.executable, "-c", stage_imports(ROOT / "stages" / f"{stage}.py")]
        for stage in of_stages(ROOT / "stages")
    }
    timed["python stages/sample.py --help"] = [sys.executable, "stages/sample.py", "--help"]
    timed["snakemake -n all"] = [str(tools / "snakemake"), "-n", "--quiet", "--cores", "1", "all"]
    timed["dvc status"] = [str(tools / "dvc"), "status", "--quiet"]
    timed["dvc repro, nothing to do"] = [str(tools / "dvc"), "repro", "--quiet"]
    return timed


def measure_startup(rounds: int, log: Callable[[str], None]) -> list[dict[str, Any]]:
    """Seconds of each command, one a round, or why it was skipped."""
    rows: list[dict[str, Any]] = []
    for name, words in commands().items():
        row: dict[str, Any] = {"name": name, "skipped": _reason(name, rows)}
        if row["skipped"] is None:
            seconds, status = zip(*(_run(words) for _ in range(rounds)))
            row = {"name": name, "skipped": f"exit status {status[0]}"} if status[0] else {"name": name, "seconds": seconds}
        rows.append(row)
        log(f"startup, {name}: " + (f"{median(row['seconds']):.2f} s" if "seconds" in row else row["skipped"]))
    return rows


def _reason(name: str, rows: list[dict[str, Any]]) -> str | None:
    """Why a command isn't run: `dvc repro` would do real work where anything has changed."""
    if not name.startswith("dvc"):
        return None
    if name == "dvc status":
        return None if any((ROOT / "results").glob("*/models/teacher")) else "no results here; make run makes them"
    return None if "seconds" in rows[-1] else "dvc status does not say that all is up to date"


def _run(words: list[str]) -> tuple[float, int]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    start = time.perf_counter()
    done = subprocess.run(words, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
    return time.perf_counter() - start, done.returncode
