"""The cluster profile on a real Slurm of one node: a run that meets every fault ends with the tables of a run that meets none."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
import yaml

from checkout import clone, run
from slurm.cluster import Cluster, unavailable, until
from slurm.faults import plant

JUDGE = Path("results/micro/judge")  # the training that is slow
RULES = {"tokenize_pack", "judge", "reference", "pretrain", "initialize", "sdtt", "sample", "score", "synthetic", "frontier"}
ON_GPU = RULES - {"tokenize_pack", "initialize", "synthetic"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := unavailable():
        pytest.skip(reason)
    with Cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


def micro(target: Path) -> Path:
    """A clone with a few of the micro jobs, in which the judge's training has many steps; its profile looks often at the jobs."""
    project = clone(target, "tests/micro.yaml", ("compare.variants=[imdm]", "compare.recipes=[sdtt1]", "judge.steps=300"))
    (project / "slurm").symlink_to("workflow/profiles/slurm")
    profile = yaml.safe_load((project / "slurm/config.yaml").read_text()) | {"slurm-init-seconds-before-status-checks": 5}
    (project / "slurm/config.yaml").write_text(yaml.safe_dump(profile))
    return project


@dataclass
class Run:
    """A run that the faults went through.

    Attributes:
        project: its clone.
        jobs: all that went through sbatch, by rule, oldest first: what Slurm says of them.
        before: step of the judge's training at the end of its first job.
        second: output of the second Snakemake, after the first was killed.
        resumed: when the drained node took work again, as Slurm writes times.
    """

    project: Path
    jobs: dict[str, list[dict[str, str]]]
    before: int
    second: str
    resumed: str


def by_rule(cluster: Cluster) -> dict[str, list[dict[str, str]]]:
    """Jobs by rule, of the teacher's samples apart as sample_teacher."""
    jobs: dict[str, list[dict[str, str]]] = {}
    for job in cluster.jobs():
        rule = next(rule for rule in sorted(RULES, key=len, reverse=True) if job["Comment"].startswith(f"rule_{rule}"))
        jobs.setdefault("sample_teacher" if job["Comment"] == "rule_sample_wildcards_teacher" else rule, []).append(job)
    return jobs


def running(cluster: Cluster, rule: str, number: int = 1) -> dict[str, str]:
    """Waits for the rule's `number`-th job to run."""

    def job() -> dict[str, str] | None:
        jobs = by_rule(cluster).get(rule, [])
        return jobs[number - 1] if len(jobs) >= number and jobs[number - 1]["JobState"] == "RUNNING" else None

    return until(job, 120, f"job {number} of {rule} to run")


@contextmanager
def snakemake(project: Path, log: str) -> Iterator[subprocess.Popen[bytes]]:
    """`snakemake --profile slurm all`, as a user starts it; killed (SIGKILL) at the end of the block."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}
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


def put_through_faults(project: Path, cluster: Cluster) -> Run:
    slow = plant(project, failing="synthetic", slow="train_judge")
    with snakemake(project, "first.txt"):
        # The judge's first job comes to its time limit, moved here to 5 minutes from its start; the retry goes on.
        until(lambda: len(steps(project)) > 2, 120, "the training to begin")
        cluster.ask("scontrol", "update", f"JobId={running(cluster, 'judge')['JobId']}", "TimeLimit=5")
        cluster.ask("scancel", running(cluster, "sample_teacher")["JobId"])
        until(lambda: by_rule(cluster)["judge"][0]["JobState"] != "RUNNING", 90, "the end of the first job")
        before = steps(project)[-1]
        running(cluster, "judge", 2)
        until(lambda: max(steps(project), default=0) > before, 60, "the training to go on")
    # Snakemake is killed. Started again it submits the training a second time, while its first job goes on.
    run(project, "snakemake", "--profile", "slurm", "--unlock")
    log = project / "logs/micro/judge.log"
    with snakemake(project, "second.txt") as second:
        running(cluster, "judge", 3)
        until(lambda: log.exists() and "waiting" in log.read_text(), 60, "the second writer to wait")
        # The node is drained just before there is new work.
        cluster.set_node(State="DRAIN", Reason="test")
        slow.unlink()
        until(lambda: any(job["JobState"] == "PENDING" for job in cluster.jobs()), 90, "a job that waits for the node")
        resumed = datetime.now().isoformat(timespec="seconds")
        cluster.set_node(State="RESUME")
        assert second.wait(300) == 0, (project / "second.txt").read_text()
    return Run(project, by_rule(cluster), before, (project / "second.txt").read_text(), resumed)


@pytest.fixture(scope="module")
def runs(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """The run that the faults went through, and the project of a local run that none did."""
    local, remote = (micro(tmp_path_factory.mktemp(name)) for name in ("local", "remote"))
    with ThreadPoolExecutor() as pool:
        undisturbed = pool.submit(run, local, "snakemake", "--profile", "workflow/profiles/local", "--cores", "1", "all")
        disturbed = put_through_faults(remote, cluster)
        undisturbed.result()
    return disturbed, local


@pytest.fixture
def disturbed(runs: tuple[Run, Path]) -> Run:
    return runs[0]


def test_the_tables_are_those_of_an_undisturbed_run(runs):
    disturbed, local = runs
    for name in ("tables", "table01", "table02", "table04", "table05"):
        one, other = (pd.read_csv(project / f"results/micro/tables/{name}.csv") for project in (disturbed.project, local))
        assert len(one) > 0
        pd.testing.assert_frame_equal(one, other, rtol=1e-4)


def test_every_job_went_to_slurm_and_asked_for_what_its_rule_needs(disturbed):
    assert set(disturbed.jobs) == RULES | {"sample_teacher"}
    for rule, jobs in disturbed.jobs.items():
        rule = rule.removesuffix("_teacher")
        for job in jobs:
            assert job["Partition"] == ("gpu" if rule in ON_GPU else "cpu")
            assert job.get("TresPerNode") == ("gres:gpu:1" if rule in ON_GPU else None)
    assert disturbed.jobs["judge"][0]["NumCPUs"] == "4"


def test_a_job_that_fails_once_is_run_again_with_more_memory_and_time(disturbed):
    jobs = [(job["JobState"], job["MinMemoryNode"], job["TimeLimit"]) for job in disturbed.jobs["synthetic"]]
    assert jobs == [("FAILED", "4000M", "04:00:00"), ("COMPLETED", "8000M", "08:00:00")]


def test_a_cancelled_job_is_run_again(disturbed):
    states = [job["JobState"] for job in disturbed.jobs["sample_teacher"]]
    assert (states[0], states[-1]) == ("CANCELLED", "COMPLETED")


def test_a_training_at_its_time_limit_goes_on_in_the_retry(runs):
    disturbed, local = runs
    assert [job["JobState"] for job in disturbed.jobs["judge"]] == ["FAILED", "COMPLETED", "COMPLETED"]
    assert json.loads((disturbed.project / JUDGE / "meta.json").read_text())["resumed"] and 2 < disturbed.before < 300
    # 143 is the training's own: Snakemake did not end before it had saved, or Slurm would have killed it.
    words = disturbed.project / f"logs/slurm/rule_judge/{disturbed.jobs['judge'][0]['JobId']}.log"
    assert "train_judge.py" in words.read_text() and "non-zero exit status 143" in words.read_text()
    logs = [pd.read_csv(project / JUDGE / "train_log.csv")["step"].tolist() for project in (disturbed.project, local)]
    assert logs[0] == logs[1]
    models = [(project / JUDGE / "model.safetensors").read_bytes() for project in (disturbed.project, local)]
    assert models[0] == models[1]


def test_a_killed_snakemake_goes_on_and_waits_for_the_job_that_was_left(disturbed):
    left, second = disturbed.jobs["judge"][1:]
    # The artifact is there a few seconds before the job that was left ends: Snakemake inside it has to end first.
    assert second["StartTime"] < left["EndTime"] and second["EndTime"] <= disturbed.jobs["reference"][0]["StartTime"]
    assert "rule tokenize_pack" not in disturbed.second
    assert not list((disturbed.project / "results").rglob("*.partial"))


def test_a_drained_node_is_waited_for(disturbed):
    assert [job["JobState"] for job in disturbed.jobs["reference"]] == ["COMPLETED"]
    assert disturbed.jobs["reference"][0]["StartTime"] >= disturbed.resumed
