"""The estimate of an experiment: its jobs, their cost and time, and where the time goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imdm.cost.cost import Cost
from imdm.cost.data import packed
from imdm.cost.jobs import Job, jobs
from imdm.cost.machines import Machine
from imdm.cost.schedule import critical_path, makespan
from imdm.cost.stages import StageCosts
from imdm.params import Params


@dataclass(frozen=True)
class Estimate:
    """Jobs in an order in which they can run, with their costs and seconds by `Job.out`."""

    jobs: list[Job]
    costs: dict[str, Cost]
    seconds: dict[str, float]

    @property
    def on_gpu(self) -> set[str]:
        """The jobs that occupy a GPU."""
        return {name for name, cost in self.costs.items() if cost.flops}

    @property
    def needs(self) -> dict[str, int]:
        """GPUs of each job."""
        return {name: cost.gpus if cost.flops else 0 for name, cost in self.costs.items()}

    def gpu_hours(self, stage: str | None = None) -> float:
        """Of one stage, or of all."""
        needs = self.needs
        return sum(needs[job.out] * self.seconds[job.out] for job in self.jobs if stage in (None, job.stage)) / 3600

    def wall_hours(self, gpus: int) -> float:
        """On so many GPUs, at least as many as the largest job needs."""
        return makespan(self.jobs, self.seconds, self.needs, gpus) / 3600

    def critical(self) -> tuple[list[str], float]:
        """The longest chain of jobs and its hours."""
        chain = critical_path(self.jobs, self.seconds)
        return chain, sum(self.seconds[name] for name in chain) / 3600

    def disk(self, gpus: int) -> float:
        """Bytes of all artifacts, and of the resume checkpoints of the trainings on `gpus` GPUs, each with its successor beside it."""
        trainings = gpus // max(self.needs.values())
        return sum(cost.disk for cost in self.costs.values()) + 2 * trainings * max(cost.temporary for cost in self.costs.values())

    def bottleneck(self) -> str:
        """The stage that takes most GPU time."""
        return max({job.stage for job in self.jobs}, key=lambda stage: (self.gpu_hours(stage), stage))


def estimate(params: Params, target: str, machine: Machine, root: Path) -> Estimate:
    """What `snakemake TARGET` takes.

    Args:
        target: `all` or `paper`.
        root: the project's folder, whose packed corpus is read where it is there.

    Raises:
        UserError: the vocabulary of the tokenizer is not known yet.
    """
    found = jobs(params, target)
    stages = StageCosts(params, packed(params.corpus, root))
    costs = {job.out: stages.of(job) for job in found}
    seconds = {
        name: cost.cpu_seconds + machine.seconds(cost.flops / cost.gpus, cost.blocks, cost.float32 / cost.gpus)
        for name, cost in costs.items()
    }
    return Estimate(found, costs, seconds)
