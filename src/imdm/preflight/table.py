"""The estimate as text."""

from __future__ import annotations

from itertools import groupby

from imdm.preflight.estimate import Estimate
from imdm.preflight.machines import Machine
from imdm.preflight.ready import Missing

_HEADER = ("stage", "jobs", "tokens", "PFLOP", "GPU h", "memory GB", "disk GB")


def table(estimate: Estimate, machine: Machine, gpus: int) -> str:
    """One line a stage, the total, and where the time goes."""
    stages = list(dict.fromkeys(job.stage for job in estimate.jobs))
    lines = [_line(estimate, stage) for stage in stages]
    lines = [line for line in lines if any(cell != "-" for cell in line[2:])]
    grid = [_HEADER, *lines, _line(estimate, None)]
    widths = [max(len(line[i]) for line in grid) for i in range(len(_HEADER))]
    rows = ["  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))]) for line in grid]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([rows[0], rule, *rows[1:-1], rule, rows[-1], "", *_summary(estimate, machine, gpus)])


def missing_table(missing: list[Missing]) -> str:
    """What is missing and what to do, one line each."""
    if not missing:
        return "Nothing is missing."
    return "\n".join(["Missing:", *(f"- {item.what}: {item.remedy}." for item in missing)])


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
    spent = estimate.gpu_hours(most)
    return [
        f"Rate: {machine.tflops:.0f} TFLOP/s sustained on one {machine.gpu.name}.",
        f"Bottleneck: {most}, {_decimal(spent)} of {_decimal(total)} GPU hours ({spent / total:.0%}).",
        f"Wall time: {estimate.wall_hours(gpus):.1f} h on {gpus} GPU{'s' * (gpus > 1)}, a job a GPU; at least {hours:.1f} h on any number: "
        f"{' > '.join(_stages(estimate, chain))}.",
        f"Disk: {estimate.disk(gpus) / 1e9:.0f} GB with the resume checkpoints of {gpus} training{'s' * (gpus > 1)}.",
    ]


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
