"""The cluster profile on a real Slurm of two nodes, which train together: a run that meets every fault ends as one that meets none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from checkout import run
from slurm.cluster import Cluster, unavailable, until
from slurm.driving import JUDGE, ON_GPU, PATIENCE, RULES, by_rule, micro, now, running, snakemake, started_again, steps
from slurm.faults import forgetful, plant

TRAININGS = {"judge", "pretrain", "sdtt"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := unavailable():
        pytest.skip(reason)
    with Cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@dataclass
class Run:
    """A run that the faults went through.

    Attributes:
        project: its clone.
        jobs: all that went through sbatch, by rule, oldest first: what Slurm says of them.
        before: step of the judge's training at the end of its first job.
        second: output of the second Snakemake, after the first was killed.
        resumed: when the drained nodes took work again, as Slurm writes times.
        forgotten: number of the job that Slurm forgot.
    """

    project: Path
    jobs: dict[str, list[dict[str, str]]]
    before: int
    second: str
    resumed: str
    forgotten: str


def goes_on(project: Path, after: str) -> None:
    """Waits for the judge's training to log further steps."""
    step = max(steps(project), default=0)
    until(lambda: max(steps(project), default=0) > step, PATIENCE, f"the training to go on after {after}")


def first_snakemake(project: Path, cluster: Cluster) -> int:
    """What befalls jobs while Snakemake looks on; the step of the judge's training at the end of its first job."""
    until(lambda: len(steps(project)) > 2, PATIENCE, "the training to begin")
    # It comes to its time limit, moved here to 5 minutes from its start; the retry goes on.
    cluster.ask("scontrol", "update", f"JobId={running(cluster, 'judge')['JobId']}", "TimeLimit=5")
    cluster.ask("scancel", running(cluster, "sample")["JobId"])
    until(lambda: by_rule(cluster)["judge"][0]["JobState"] != "RUNNING", PATIENCE, "the end of the first job")
    before = steps(project)[-1]
    running(cluster, "judge", 2)
    goes_on(project, "the time limit")
    # The controller is away for a while.
    cluster.stop("slurmctld")
    goes_on(project, "the controller's end")
    cluster.daemon("slurmctld")
    goes_on(project, "the controller's return")
    # A node is lost and comes back; Slurm starts the job again, after two minutes. Its late signal for the lost job may end
    # that one too, which Snakemake then submits again.
    lost = now()
    cluster.kill_node("two")
    until(lambda: by_rule(cluster)["judge"][1]["JobState"] == "PENDING", PATIENCE, "the job to be requeued")
    cluster.start_node("two")
    started_again(cluster, "judge", lost)
    goes_on(project, "the loss of a node")
    # A more urgent job takes the nodes.
    taken = now()
    cluster.ask("sbatch", "--partition=urgent", "--nodes=2", "--exclusive", "--time=1", "--output=/dev/null", "--wrap=true")
    started_again(cluster, "judge", taken)
    goes_on(project, "the more urgent job")
    return before


def second_snakemake(project: Path, cluster: Cluster, slow: Path, killed: str) -> tuple[str, str]:
    """What befalls jobs after the first Snakemake was killed; when the nodes took work again, and the job that was forgotten."""
    # The training is submitted a second time, while its job goes on.
    log = project / "logs/micro/judge.log"
    started_again(cluster, "judge", killed)
    until(lambda: log.exists() and "waiting" in log.read_text(), PATIENCE, "the second writer to wait")
    # The nodes are drained just before there is new work, one of the jobs is held, and of another Slurm knows nothing any more.
    cluster.set_nodes(State="DRAIN", Reason="test")
    slow.unlink()
    held, forgotten = (
        until(lambda rule=rule: by_rule(cluster).get(rule), PATIENCE, f"{rule} to wait")[0]["JobId"] for rule in ("reference", "frontier")
    )
    cluster.ask("scontrol", "hold", held)
    (project / "faults/forgotten").write_text(f"{forgotten}\n")
    until(lambda: len(alike(by_rule(cluster), forgotten)) > 1, PATIENCE, "the forgotten job to be submitted again")
    cluster.ask("scancel", forgotten)
    resumed = now()
    cluster.set_nodes(State="RESUME")
    running(cluster, "frontier", len(by_rule(cluster)["frontier"]))
    assert "JobHeld" in by_rule(cluster)["reference"][0]["Reason"]
    cluster.ask("scontrol", "release", held)
    return resumed, forgotten


def alike(jobs: dict[str, list[dict[str, str]]], number: str) -> list[dict[str, str]]:
    """Slurm's jobs of the job of Snakemake of which one has the number."""
    about = next(job["Comment"] for job in jobs["frontier"] if job["JobId"] == number)
    return [job for job in jobs["frontier"] if job["Comment"] == about]


def put_through_faults(project: Path, cluster: Cluster, folder: Path) -> Run:
    slow = plant(project, eating="synthetic", slow="train_judge")
    forgetful(folder, shutil.which("squeue"))
    with snakemake(project, "first.txt"):
        before = first_snakemake(project, cluster)
    run(project, "snakemake", "--profile", "slurm", "--unlock")
    killed = now()
    with snakemake(project, "second.txt", folder) as second:
        resumed, forgotten = second_snakemake(project, cluster, slow, killed)
        assert second.wait(PATIENCE) == 0, (project / "second.txt").read_text()
    return Run(project, by_rule(cluster), before, (project / "second.txt").read_text(), resumed, forgotten)


@pytest.fixture(scope="module")
def runs(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """The run that the faults went through, whose trainings take two nodes, and the project of a local run in as many processes."""
    local, remote = (micro(tmp_path_factory.mktemp(name), f"runtime.{name}=2") for name in ("gpus", "nodes"))
    with ThreadPoolExecutor() as pool:
        undisturbed = pool.submit(run, local, "snakemake", "--profile", "workflow/profiles/default", "--cores", "1", "all")
        disturbed = put_through_faults(remote, cluster, remote.parent / "forgetful")
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
    assert set(disturbed.jobs) == RULES
    for rule, jobs in disturbed.jobs.items():
        nodes = 2 if rule in TRAININGS else 1
        for job in jobs:
            assert job["Partition"] == ("gpu" if rule in ON_GPU else "cpu")
            assert job.get("TresPerNode") == ("gres:gpu:1" if rule in ON_GPU else None)
            assert job["NumNodes"] == str(nodes) and (nodes == 1 or job["NumTasks"] == "2")
            assert job["NumCPUs"] == str(4 * nodes if rule in ON_GPU else 1)


def test_a_job_that_takes_too_much_memory_is_run_again_with_more_memory_and_time(disturbed):
    jobs = [(job["JobState"] == "COMPLETED", job["MinMemoryNode"], job["TimeLimit"]) for job in disturbed.jobs["synthetic"]]
    assert jobs == [(False, "1500M", "04:03:00"), (True, "3000M", "08:06:00")]


def test_a_cancelled_job_is_run_again(disturbed):
    cancelled = disturbed.jobs["sample"][0]
    again = [job for job in disturbed.jobs["sample"] if job["Comment"] == cancelled["Comment"]]
    assert [(job["JobState"], job["MinMemoryNode"]) for job in again] == [("CANCELLED", "8000M"), ("COMPLETED", "16000M")]


def test_a_training_goes_on_after_its_time_limit_and_as_if_there_had_been_no_fault(runs):
    disturbed, local = runs
    first, *later = disturbed.jobs["judge"]
    lasted = datetime.fromisoformat(first["EndTime"]) - datetime.fromisoformat(first["StartTime"])
    assert first["TimeLimit"] == "00:05:00" and first["JobState"] in ("FAILED", "TIMEOUT") and lasted.seconds < 300 + 90
    assert sum(int(job["Restarts"]) for job in later) == 2
    assert json.loads((disturbed.project / JUDGE / "meta.json").read_text())["resumed"] and 2 < disturbed.before < 300
    # 143 is the training's own: Snakemake did not end before it had saved, or Slurm would have killed it.
    words = disturbed.project / f"logs/slurm/rule_judge/{first['JobId']}.log"
    assert "srun --nodes=2" in words.read_text() and "non-zero exit status 143" in words.read_text()
    logs = [pd.read_csv(project / JUDGE / "train_log.csv")["step"].tolist() for project in (disturbed.project, local)]
    assert logs[0] == logs[1]
    models = [(project / JUDGE / "model.safetensors").read_bytes() for project in (disturbed.project, local)]
    assert models[0] == models[1]
    metrics = [json.loads((project / JUDGE / "meta.json").read_text())["metrics"]["devices"] for project in (disturbed.project, local)]
    assert metrics == [2, 2]


def test_a_killed_snakemake_goes_on_and_waits_for_the_job_that_was_left(disturbed):
    left, second = disturbed.jobs["judge"][-2:]
    # The artifact is there a few seconds before the job that was left ends: Snakemake inside it has to end first.
    assert second["JobState"] == "COMPLETED" and second["StartTime"] < left["EndTime"]
    assert second["EndTime"] <= disturbed.jobs["reference"][0]["StartTime"]
    assert "rule tokenize_pack" not in disturbed.second
    assert not list((disturbed.project / "results").rglob("*.partial"))


def test_drained_nodes_and_a_release_are_waited_for(disturbed):
    assert [job["JobState"] for job in disturbed.jobs["reference"]] == ["COMPLETED"]
    assert disturbed.jobs["reference"][0]["StartTime"] >= disturbed.resumed


def test_a_job_that_slurm_forgot_is_no_success_without_its_files(disturbed):
    assert [job["JobState"] for job in alike(disturbed.jobs, disturbed.forgotten)] == ["CANCELLED", "COMPLETED"]
    assert "MissingOutputException" in disturbed.second
