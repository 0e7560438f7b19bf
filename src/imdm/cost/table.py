"""The estimate as text."""

from __future__ import annotations

from itertools import groupby

from imdm.cost.estimate import Estimate
from imdm.cost.machines import Machine
from imdm.cost.ready import Missing
from imdm.cost.scaling import Plan

_HEADER = ("stage", "jobs", "tokens", "PFLOP", "GPU h", "memory GB", "disk GB")
_PLAN_HEADER = ("GPUs", "a training", "shards", "wall h", "GPU h", "busy", "work h", "chain h", "limit")


def table(estimate: Estimate, machine: Machine, gpus: int) -> str:
    """One line a stage, the total, and where the time goes."""
    stages = list(dict.fromkeys(job.stage for job in estimate.jobs))
    lines = [_line(estimate, stage) for stage in stages]
    lines = [line for line in lines if any(cell != "-" for cell in line[2:])]
    head, rule, *rows, last = _aligned([_HEADER, *lines, _line(estimate, None)])
    return "\n".join([head, rule, *rows, rule, last, "", *_summary(estimate, machine, gpus)])


def scaling_table(plans: list[Plan], machine: Machine) -> str:
    """One line a plan."""
    lines = [_PLAN_HEADER, *map(_plan_line, plans)]
    return "\n".join([*_aligned(lines), "", _rate(machine)])


def missing_table(missing: list[Missing]) -> str:
    """What is missing and what to do, one line each."""
    if not missing:
        return "Nothing is missing."
    return "\n".join(["Missing:", *(f"- {item.what}: {item.remedy}." for item in missing)])


def _aligned(grid: list[tuple[str, ...]]) -> list[str]:
    """Lines of equal columns, the first to the left, with a rule below the header."""
    widths = [max(len(line[i]) for line in grid) for i in range(len(grid[0]))]
    rows = ["  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))]) for line in grid]
    return [rows[0], "  ".join("-" * width for width in widths), *rows[1:]]


def _plan_line(plan: Plan) -> tuple[str, ...]:
    found, wall = plan.estimate, plan.estimate.wall_hours(plan.gpus)
    total, (_, chain) = found.gpu_hours(), found.critical()
    numbers = (str(plan.gpus), str(plan.devices), f"{plan.couplings}, {plan.samples}")
    hours = (_decimal(wall), _decimal(total), f"{total / (wall * plan.gpus):.0%}", _decimal(total / plan.gpus), _decimal(chain))
    return (*numbers, *hours, plan.limit())


def _line(estimate: Estimate, stage: str | None) -> tuple[str, ...]:
    names = [job.out for job in estimate.jobs if stage in (None, job.stage)]
    costs = [estimate.costs[name] for name in names]
    tokens = "-" if stage is None else _number(sum(cost.tokens for cost in costs))
    return (
        stage or "total",
        str(len(names)),
        tokens,
        _number(sum(cost.flops for cost in costs) / 1e15),
        _decimal(estimate.gpu_hours(stage)),
        _decimal(max(cost.memory for cost in costs) / 1e9),
        _decimal(sum(cost.disk for cost in costs) / 1e9),
    )


def _summary(estimate: Estimate, machine: Machine, gpus: int) -> list[str]:
    total, most = estimate.gpu_hours(), estimate.bottleneck()
    chain, hours = estimate.critical()
    spent, largest = estimate.gpu_hours(most), max(estimate.needs.values())
    share = "a job a GPU" if largest == 1 else f"{largest} for a training"
    trainings = gpus // largest
    return [
        _rate(machine),
        f"Bottleneck: {most}, {_decimal(spent)} of {_decimal(total)} GPU hours ({spent / total:.0%}).",
        f"Wall time: {estimate.wall_hours(gpus):.1f} h on {gpus} GPU{'s' * (gpus > 1)}, {share}; at least {hours:.1f} h on any number: "
        f"{' > '.join(_stages(estimate, chain))}.",
        f"Disk: {estimate.disk(gpus) / 1e9:.0f} GB with the resume checkpoints of {trainings} training{'s' * (trainings > 1)}.",
    ]


def _rate(machine: Machine) -> str:
    return f"Rate: {machine.tflops:.0f} TFLOP/s sustained on one {machine.gpu.name}."


def _stages(estimate: Estimate, chain: list[str]) -> list[str]:
    """A chain of jobs by stage: 7 sdtt."""
    of = {job.out: job.stage for job in estimate.jobs}
    runs = [(stage, len(list(run))) for stage, run in groupby(of[name] for name in chain)]
    return [f"{count} {stage}" if count > 1 else stage for stage, count in runs]


def _decimal(value: float) -> str:
    return "-" if value == 0 else f"{value:,.1f}" if value >= 0.05 else "<0.1"


def _number(value: float) -> str:
    """Three digits and a unit: 65.5 G."""
    if value == 0:
        return "-"
    for factor, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"
