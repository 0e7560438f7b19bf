"""The estimate as text."""

from __future__ import annotations

from itertools import groupby

from imdm.cost.estimate import Estimate, Machine

_HEADER = ("stage", "jobs", "tokens", "PFLOP", "GPU h", "memory GB", "disk GB")


def table(estimate: Estimate, machine: Machine, gpus: int) -> str:
    """One line a stage, the total, and where the time goes."""
    stages = dict.fromkeys(estimate.stages.values())
    lines = [line for line in (_line(estimate, stage) for stage in stages) if set(line[2:]) != {"-"}]
    head, rule, *body, total = _aligned([_HEADER, *lines, _line(estimate, None)])
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
    reason = "the longest chain of jobs" if wall == chain else "the work of all jobs over the GPUs"
    return [
        f"Rate: {machine.tflops:.0f} TFLOP/s sustained on one {machine.gpu.name}.",
        f"Bottleneck: {most}, {_decimal(spent)} of {_decimal(total)} GPU hours ({spent / total:.0%}).",
        f"Wall time: at least {wall:.1f} h on {gpus} GPU{'s' * (gpus > 1)}, {reason}.",
        f"Longest chain: {chain:.1f} h on any number of GPUs: {names}.",
        f"Disk: {estimate.disk(gpus) / 1e9:.0f} GB with the resume checkpoints of {trainings} training{'s' * (trainings > 1)}.",
    ]


def _decimal(value: float) -> str:
    return "-" if value == 0 else f"{value:,.1f}" if value >= 0.05 else "<0.1"


def _number(value: float) -> str:
    """Three digits and a unit: 65.5 G."""
    for factor, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}" if value else "-"
