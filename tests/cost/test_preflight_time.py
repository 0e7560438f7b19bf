"""The preflight's schedules and hours, against hand-made cases, Graham's bounds and published budgets."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imdm.cost.machines import Machine
from imdm.cost.scaling import plans
from imdm.cost.schedule import critical_path, makespan

from checkout import ROOT
from imdm.cost.estimate import estimate
from imdm.cost.jobs import Job
from imdm.params import load_params
from imdm.stage.gpus import find_gpu


def test_a_hand_made_schedule():
    """Two chains of 3 + 1 and 2 hours and a job of 2 hours without a GPU, which delays only what waits for it."""
    jobs = [Job("a", "a"), Job("b", "b", ("a",)), Job("c", "c"), Job("d", "d"), Job("e", "e", ("d", "c"))]
    seconds = {"a": 3.0, "b": 1.0, "c": 2.0, "d": 2.0, "e": 1.0}
    needs = dict.fromkeys("abce", 1) | {"d": 0}
    assert makespan(jobs, seconds, needs, 1) == 7
    assert makespan(jobs, seconds, needs, 2) == 4
    assert critical_path(jobs, seconds) == ["a", "b"]


def test_a_job_on_several_gpus_waits_for_all_of_them():
    jobs, seconds, needs = [Job(name, name) for name in "abc"], {"a": 2.0, "b": 3.0, "c": 1.0}, {"a": 4, "b": 1, "c": 1}
    assert makespan(jobs, seconds, needs, 4) == 5  # b and c, then a
    assert makespan(jobs, seconds, needs, 5) == 3  # b and a, then c beside b


@st.composite
def graphs(draw) -> tuple[list[Job], dict[str, float]]:
    """Up to nine jobs that wait for earlier ones, and their seconds."""
    count = draw(st.integers(1, 9))
    jobs = [Job("x", str(i), tuple(str(k) for k in range(i) if draw(st.booleans()))) for i in range(count)]
    return jobs, {job.out: float(draw(st.integers(1, 20))) for job in jobs}


@given(graph=graphs(), gpus=st.integers(1, 4))
@settings(deadline=None)
def test_schedules_keep_grahams_bound(graph, gpus):
    (jobs, seconds), needs = graph, dict.fromkeys(graph[1], 1)
    longest = sum(seconds[name] for name in critical_path(jobs, seconds))
    work, found = sum(seconds.values()), makespan(jobs, seconds, needs, gpus)
    assert max(longest, work / gpus) <= found + 1e-9
    assert found <= work / gpus + longest * (1 - 1 / gpus) + 1e-9
    assert makespan(jobs, seconds, needs, 1) == pytest.approx(work)
    assert makespan(jobs, seconds, needs, len(jobs)) == pytest.approx(longest)


@given(graph=graphs(), data=st.data(), gpus=st.integers(1, 4))
@settings(deadline=None)
def test_schedules_of_jobs_on_several_gpus_keep_the_bounds(graph, data, gpus):
    jobs, seconds = graph
    needs = {job.out: data.draw(st.integers(0, gpus)) for job in jobs}
    longest = sum(seconds[name] for name in critical_path(jobs, seconds))
    work = sum(needs[name] * seconds[name] for name in seconds)
    assert max(longest, work / gpus) <= makespan(jobs, seconds, needs, gpus) + 1e-9 <= sum(seconds.values()) + 1e-6


def test_small_batches_take_as_long_as_their_kernels():
    machine = Machine.of(find_gpu("a100-80"), 100)
    assert machine.seconds(1e15, 10) == pytest.approx(10)
    assert machine.seconds(1e9, 1000) == pytest.approx(0.3)
    assert machine.seconds(1e15, 0, float32=1e15) == pytest.approx(160)
    assert machine.seconds(1e15, 0, float32=5e14) == pytest.approx(85)


def test_pretraining_budget_of_lm1b():
    machine = Machine.of(find_gpu("h100"))
    found = estimate(load_params(ROOT / "presets/lm1b.yaml"), "all", machine, Path("/nowhere"))
    teacher = found.costs["teacher"]
    assert teacher.tokens - 140 * 512 * 128 == 1_000_000 * 512 * 128 == 65_536_000_000
    assert found.seconds["teacher"] == pytest.approx(teacher.flops / 296.7e12)
    token = 3 * (12 * (24 * 768**2 + 4 * 128 * 768) + 768 * 30_522)
    assert teacher.flops == pytest.approx(65_536_000_000 * token, rel=2e-3)


# Several GPUs for one training


def lm1b(*sets: str):
    return load_params(ROOT / "presets/lm1b.yaml", list(sets))


def test_a_training_on_several_gpus_takes_its_share_of_the_time():
    machine = Machine.of(find_gpu("h100"))
    alone, shared = (estimate(lm1b(*sets), "paper", machine, Path("/nowhere")) for sets in ([], ["runtime.devices=2", "runtime.nodes=2"]))
    jobs = {job.stage: job.out for job in alone.jobs}
    for stage in ("pretrain", "finetune"):
        out = jobs[stage]
        assert shared.needs[out] == 4 and shared.seconds[out] == pytest.approx(alone.seconds[out] / 4, rel=1e-3)
        assert shared.costs[out].tokens == alone.costs[out].tokens and shared.costs[out].memory < alone.costs[out].memory
    for stage in ("couple", "sample", "score"):
        assert shared.needs[jobs[stage]] == 1 and shared.seconds[jobs[stage]] == alone.seconds[jobs[stage]]


def test_too_many_gpus_wait_for_kernels():
    """12 blocks, forward and twice backward, of 0.3 ms each: less than 10.8 ms a step is not to be had."""
    found = estimate(lm1b("runtime.devices=512"), "all", Machine.of(find_gpu("h100")), Path("/nowhere"))
    assert found.seconds["teacher"] == pytest.approx(1_000_140 * 36 * 3e-4, rel=1e-2)
    assert found.gpu_hours("pretrain") == 512 * found.seconds["teacher"] / 3600


def test_plans():
    machine, params = Machine.of(find_gpu("h100")), lm1b()
    (alone,) = plans(params, "paper", machine, Path("/nowhere"), 1)
    assert (alone.devices, alone.couplings, alone.samples) == (1, 1, 1)
    single, node, most = plans(params, "paper", machine, Path("/nowhere"), 64)
    assert single.devices == 1 and 1 < node.devices <= 8 < most.devices <= 64 and most.couplings == most.samples == 64
    walls = [plan.estimate.wall_hours(64) for plan in (single, node, most)]
    assert walls == sorted(walls, reverse=True) and walls[1] < single.estimate.critical()[1] / 4
    odd = lm1b("sdtt.batch_size=129")  # which no two GPUs can share
    assert {plan.devices for plan in plans(odd, "paper", machine, Path("/nowhere"), 64)} == {1}
