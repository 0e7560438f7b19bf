"""What a run's meta.json files tell: time and memory of every stage, parameters, machines, commands."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from imdm.report.cells import NONE, Cell, View
from imdm.stage.artifact import META

_UNFINISHED = (".partial", ".old")


def read_metas(run: Path, data: Path) -> dict[str, dict[str, Any]]:
    """meta.json of the data and of every finished artifact of a run but the report itself, in the order of the stages.

    Args:
        run: results/RUN.
        data: folder of dataset.json.

    Returns:
        meta by the artifact's path: its folder, or of several files of one folder the first that STEM.meta.json is named after.
    """
    files = [data / META, *sorted(run.rglob(f"*{META}"))]
    files = [path for path in files if path.exists() and not any(part.endswith(_UNFINISHED) for part in path.parts)]
    metas = {}
    for path in files:
        meta, stem = json.loads(path.read_text(encoding="utf-8")), path.name.removesuffix(META)
        if meta["stage"] != "report":
            named = next((name for name in sorted(meta["outputs"]) if stem and name.startswith(stem)), "")
            metas[(path.parent / named).as_posix()] = meta
    return metas


def duration(seconds: float) -> str:
    """Seconds as a reader would say them: 8.2 s, 3 min 05 s, 2 h 10 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def short(path: str, run: Path) -> str:
    """An artifact's path below its run's folder; that of the data is kept whole."""
    return path.removeprefix(f"{run.as_posix()}/")


def timings(metas: dict[str, dict[str, Any]], run: Path) -> View:
    """Time, peak memory and throughput of every artifact, with the sum of the times and the largest memory."""
    gpu = any("gpu" in meta["peak_memory_mib"] for meta in metas.values())
    body = []
    for path, meta in metas.items():
        memory, rate = meta["peak_memory_mib"], meta["metrics"].get("tokens_per_second")
        spent = duration(meta["seconds"]) + ("*" if meta["resumed"] else "")
        line = [Cell(meta["stage"]), Cell(short(path, run)), Cell(spent, meta["seconds"])]
        line.append(Cell(f"{memory['host']:,.0f}", memory["host"]))
        if gpu:
            line.append(Cell(f"{memory['gpu']:,.0f}", memory["gpu"]) if "gpu" in memory else Cell(NONE))
        body.append([*line, Cell(f"{rate:,.0f}", rate) if rate else Cell(NONE)])
    total = sum(meta["seconds"] for meta in metas.values())
    peak = max((meta["peak_memory_mib"]["host"] for meta in metas.values()), default=0.0)
    caption = f"Together {duration(total)} of work; the largest process used {peak:,.0f} MiB."
    if any(meta["resumed"] for meta in metas.values()):
        caption += " * went on after an interruption; the time is of the last part."
    columns = ["Stage", "Artifact", "Time", "Peak memory (MiB)", *(["GPU memory (MiB)"] if gpu else []), "Tokens / s"]
    return View("timings", "Time and memory of every stage", caption, columns, body)


def parameters(metas: dict[str, dict[str, Any]], run: Path) -> list[tuple[str, list[str], list[tuple[str, str]]]]:
    """(stage, artifacts, [(dotted key, value)]) for every set of parameters that a stage ran with."""
    found: dict[tuple[str, str], list[str]] = {}
    for path, meta in metas.items():
        if meta["parameters"]:
            found.setdefault((meta["stage"], json.dumps(meta["parameters"], sort_keys=True)), []).append(short(path, run))
    return [(stage, paths, list(_flat(json.loads(tree)))) for (stage, tree), paths in found.items()]


def _flat(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for key, value in tree.items():
        lines += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, json.dumps(value))]
    return lines


def commands(metas: dict[str, dict[str, Any]]) -> list[str]:
    """The command line of every stage, in an order in which they can run."""
    lines = []
    for path, meta in metas.items():
        words = ["python", f"stages/{meta['stage']}.py"]
        for flag, value in meta["arguments"].items():
            if value is not None:
                words += [f"--{flag.replace('_', '-')}", *(map(str, value) if isinstance(value, list) else [str(value)])]
        lines.append(shlex.join([*words, "--out", path]))
    return lines


def machines(metas: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """(what, value) of the machines, libraries and commits that made the artifacts; several where they differ."""
    found: dict[str, dict[str, None]] = {}
    for meta in metas.values():
        machine = meta["machine"]
        facts = {"Platform": machine["platform"], "CPUs": machine["cpus"], "GPU": machine["gpu"] or "none", "Python": machine["python"]}
        facts |= {f"{name}": version for name, version in meta["libraries"].items()} | {"Commit": meta["git"] or "not in git"}
        for key, value in facts.items():
            if value is not None:
                found.setdefault(key, {})[str(value)] = None
    if len(found.get("GPU", {})) > 1:
        found["GPU"].pop("none", None)  # stages that need none
    return [(key, ", ".join(values)) for key, values in found.items()]
