"""The estimate of an experiment: the cost and time of its jobs, where the time goes, and all of it as text."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import groupby
from pathlib import Path

from imdm.cost.stages import Job, Reads, StageCosts
from imdm.cost.work import Cost
from imdm.params import Params
from imdm.stage.gpus import Gpu

# Share of a GPU's peak that lasts. Published: 26% for a 12x768 DiT at L = 1024 on H100 (flow_matching, 288k tokens/s),
# 40 to 46% for nanochat. Between them, since the head runs on masked positions only.
SUSTAINED = 0.3
# The same of a core, whose peak is measured: trainings of the default run had 40 to 46 of 73 to 93 GFLOP/s.
SUSTAINED_BY_CORE = 0.5
# A transformer block takes this long however small its batch is: some 40 kernels to launch. Backward counts twice.
BLOCK_SECONDS = 3e-4


@dataclass(frozen=True)
class Machine:
    """One kind of GPU, or a core of this machine, at a sustained rate in bfloat16, TFLOP/s; float32 is slower by the ratio of the peaks."""

    gpu: Gpu
    tflops: float
    unit: str = "GPU"

    @classmethod
    def core(cls, tflops: float | None = None) -> Machine:
        """A core of this machine, at a measured rate, or at `SUSTAINED_BY_CORE` of what a matrix product reaches.

        That is timed by what the CPU spends on it, so that neither threads nor other processes count.
        """
        import numpy as np

        matrix = np.ones((1024, 1024), dtype=np.float32)
        seconds = []
        for _ in range(5):
            start = time.process_time()
            np.matmul(matrix, matrix)
            seconds.append(time.process_time() - start)
        peak = 2 * len(matrix) ** 3 / min(seconds) / 1e12
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
        return cls(Gpu("core of this machine", peak, peak, memory), SUSTAINED_BY_CORE * peak if tflops is None else tflops, "core")

    @classmethod
    def of(cls, gpu: Gpu, tflops: float | None = None) -> Machine:
        """A GPU at a measured rate, or at `SUSTAINED` of its peak."""
        return cls(gpu, SUSTAINED * gpu.bfloat16 if tflops is None else tflops)

    def seconds(self, cost: Cost) -> float:
        """Time without a GPU, and on its GPUs by arithmetic or by launching blocks, whichever is longer."""
        operations = cost.flops + (self.gpu.bfloat16 / self.gpu.float32 - 1) * cost.float32
        return cost.cpu_seconds + max(operations / cost.gpus / (self.tflops * 1e12), cost.blocks * BLOCK_SECONDS)


@dataclass(frozen=True)
class Estimate:
    """Stages, costs and hours of jobs by `Job.out`, in an order in which they can run; `chain` is the longest one of jobs."""

    stages: dict[str, str]
    costs: dict[str, Cost]
    hours: dict[str, float]
    chain: list[str]

    def of(self, stage: str | None) -> list[str]:
        """The jobs of a stage, or all."""
        return [out for out, name in self.stages.items() if stage in (None, name)]

    def gpu_hours(self, stage: str | None = None) -> float:
        """Of one stage, or of all; a job has its GPUs to itself as long as it runs."""
        return sum(self.hours[out] * self.costs[out].gpus for out in self.of(stage) if self.costs[out].flops)

    def chain_hours(self) -> float:
        return sum(self.hours[out] for out in self.chain)

    def wall_hours(self, gpus: int) -> float:
        """At least so long takes it on so many GPUs: the work divided by them, or the longest chain."""
        return max(self.gpu_hours() / gpus, self.chain_hours())

    def trainings(self, gpus: int) -> int:
        """How many can run at once, each with a resume checkpoint."""
        return gpus // max(cost.gpus for cost in self.costs.values())

    def disk(self, gpus: int) -> float:
        """Bytes of all artifacts and of the resume checkpoints on `gpus` GPUs, each with its successor beside it."""
        resume = max(cost.temporary for cost in self.costs.values())
        return sum(cost.disk for cost in self.costs.values()) + 2 * self.trainings(gpus) * resume


def estimate(params: Params, jobs: Sequence[Job], reads: Reads, machine: Machine, root: Path) -> Estimate:
    """What jobs take; `reads`, `root` and what is raised are those of `StageCosts`."""
    stages, waits, of = StageCosts(params, reads, root), ordered(jobs), {job.out: job for job in jobs}
    costs = {out: stages.of(of[out]) for out in waits}
    hours = {out: machine.seconds(cost) / 3600 for out, cost in costs.items()}
    return Estimate({out: of[out].stage for out in waits}, costs, hours, longest_chain(waits, hours))


def ordered(jobs: Sequence[Job]) -> dict[str, list[str]]:
    """What each job waits for, by `out`, in an order in which they can run."""
    jobs = sorted(jobs, key=lambda job: job.out)
    makers = {file: job.out for job in jobs for file in job.outputs}
    waits = {job.out: list(dict.fromkeys(makers[file] for file in job.inputs if file in makers)) for job in jobs}
    return {out: waits[out] for out in TopologicalSorter(waits).static_order()}


def longest_chain(waits: Mapping[str, Sequence[str]], seconds: Mapping[str, float]) -> list[str]:
    """The jobs one after another that take longest together, on any number of GPUs; `waits` of `ordered`, `seconds` of each job."""
    chains: dict[str, tuple[float, list[str]]] = {}
    for out, before in waits.items():
        length, chain = max((chains[name] for name in before), default=(0.0, []))
        chains[out] = (length + seconds[out], [*chain, out])
    return max(chains.values())[1]


def table(estimate: Estimate, machine: Machine, gpus: int) -> str:
    """One line a stage, the total, and where the time goes."""
    stages = dict.fromkeys(estimate.stages.values())
    lines = [line for line in (_line(estimate, stage) for stage in stages) if set(line[2:]) != {"-"}]
    header = ("stage", "jobs", "tokens", "PFLOP", f"{machine.unit} h", "memory GB", "disk GB")
    head, rule, *body, total = _aligned([header, *lines, _line(estimate, None)])
    return "\n".join([head, rule, *body, rule, total, "", *_summary(estimate, machine, gpus)])


def _aligned(grid: list[tuple[str, ...]]) -> list[str]:
    """Lines of equal columns, the first to the left, with a rule below the header."""
    widths = [max(map(len, column)) for column in zip(*grid)]
    lines = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in grid]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def _line(estimate: Estimate, stage: str | None) -> tuple[str, ...]:
    costs = [estimate.costs[out] for out in estimate.of(stage)]
    return (
        stage or "total",
        str(len(costs)),
        "-" if stage is None else _number(sum(cost.tokens for cost in costs)),
        _number(sum(cost.flops for cost in costs) / 1e15),
        _decimal(estimate.gpu_hours(stage)),
        _decimal(max(cost.memory for cost in costs) / 1e9),
        _decimal(sum(cost.disk for cost in costs) / 1e9),
    )


def _summary(estimate: Estimate, machine: Machine, gpus: int) -> list[str]:
    total, wall, chain = estimate.gpu_hours(), estimate.wall_hours(gpus), estimate.chain_hours()
    most = max(dict.fromkeys(estimate.stages.values()), key=estimate.gpu_hours)
    spent, trainings = estimate.gpu_hours(most), estimate.trainings(gpus)
    runs = [(stage, len(list(run))) for stage, run in groupby(estimate.stages[out] for out in estimate.chain)]
    names = " > ".join(f"{count} {stage}" if count > 1 else stage for stage, count in runs)
    unit = machine.unit
    reason = "the longest chain of jobs" if wall == chain else f"the work of all jobs over the {unit}s"
    rate = f"{machine.tflops:.0f} TFLOP/s" if machine.tflops >= 1 else f"{1000 * machine.tflops:.0f} GFLOP/s"
    return [
        f"Rate: {rate} sustained on one {machine.gpu.name}.",
        f"Bottleneck: {most}, {_decimal(spent)} of {_decimal(total)} {unit} hours ({spent / total:.0%}).",
        f"Wall time: at least {_time(wall)} on {gpus} {unit}{'s' * (gpus > 1)}, {reason}.",
        f"Longest chain: {_time(chain)} on any number of {unit}s: {names}.",
        f"Disk: {estimate.disk(gpus) / 1e9:.0f} GB with the resume checkpoints of {trainings} training{'s' * (trainings > 1)}.",
    ]


def _time(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"


def _decimal(value: float) -> str:
    return "-" if value == 0 else f"{value:,.1f}" if value >= 0.05 else "<0.1"


def _number(value: float) -> str:
    """Three digits and a unit: 65.5 G."""
    for factor, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}" if value else "-"
