"""Snakemake on a cluster of the tests: a small experiment, started as a user starts it, and what Slurm says of its jobs."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import yaml

from checkout import clone
from slurm.cluster import Cluster, until

PATIENCE = 1800  # seconds that anything is waited for: machines are slow that do other things besides
JUDGE = Path("results/micro/judge")  # the training that is slow
RULES = {"tokenize_pack", "judge", "reference", "controls", "pretrain", "initialize", "sdtt", "sample", "score", "frontier", "synthetic"}
ON_GPU = RULES - {"tokenize_pack", "initialize", "synthetic"}
EXPERIMENT = ("compare.variants=[imdm]", "compare.recipes=[sdtt1]", "judge.steps=300", "scoring.mauve_seeds=0")
PLACES = ("runtime.device=auto", "runtime.checkpoint_seconds=5")  # the nodes' GPUs are none, but they are asked for


def micro(target: Path, *sets: str) -> Path:
    """A clone with a few of the micro jobs, in which the judge's training has many steps; its profile looks often at the jobs."""
    project = clone(target, "tests/micro.yaml", (*EXPERIMENT, *PLACES, *sets))
    (project / "slurm").symlink_to("workflow/profiles/slurm")
    profile = yaml.safe_load((project / "slurm/config.yaml").read_text())
    profile |= {"slurm-init-seconds-before-status-checks": 5, "latency-wait": 5}
    profile["set-resources"] = {"synthetic": {"mem_mb": "1500 * attempt"}}
    (project / "slurm/config.yaml").write_text(yaml.safe_dump(profile))
    return project


def by_rule(cluster: Cluster) -> dict[str, list[dict[str, str]]]:
    """Jobs by rule."""
    jobs: dict[str, list[dict[str, str]]] = {}
    for job in cluster.jobs():
        about = job.get("Comment", "")
        if rule := next((rule for rule in sorted(RULES, key=len, reverse=True) if about.startswith(f"rule_{rule}")), None):
            jobs.setdefault(rule, []).append(job)
    return jobs


def running(cluster: Cluster, rule: str, number: int = 1) -> dict[str, str]:
    """Waits for the rule's `number`-th job to run."""

    def job() -> dict[str, str] | None:
        jobs = by_rule(cluster).get(rule, [])
        return jobs[number - 1] if len(jobs) >= number and jobs[number - 1]["JobState"] == "RUNNING" else None

    return until(job, PATIENCE, f"job {number} of {rule} to run")


def started_again(cluster: Cluster, rule: str, since: str) -> None:
    """Waits for a job of the rule that has begun since then, by Slurm's or by Snakemake's doing."""

    def begun() -> bool:
        last = by_rule(cluster)[rule][-1]
        return last["JobState"] == "RUNNING" and last["StartTime"] > since

    until(begun, PATIENCE, f"a job of {rule} to begin again")


def now() -> str:
    """The time as Slurm writes it."""
    return datetime.now().isoformat(timespec="seconds")


@contextmanager
def snakemake(project: Path, log: str, *first: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`snakemake --profile slurm all`, with folders before the others in PATH; killed (SIGKILL) at the end of the block."""
    path = os.pathsep.join([*map(str, first), str(Path(sys.executable).parent), os.environ["PATH"]])
    # The names of the nodes are no hosts.
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    with (project / log).open("wb") as out:
        process = subprocess.Popen(["snakemake", "--profile", "slurm", "all"], cwd=project, env=environment, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def steps(project: Path) -> list[int]:
    """The steps in the log of the judge's training, while it is going on."""
    table = project / f"{JUDGE}.partial/train_log.csv"
    return [int(row["step"]) for row in csv.DictReader(table.open())] if table.exists() else []
