"""How an experiment is best spread over a number of GPUs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from imdm.cost import ready
from imdm.cost.estimate import Estimate, estimate
from imdm.cost.machines import Machine
from imdm.params import Params

NODE = 8  # GPUs that are usually in one machine


@dataclass(frozen=True)
class Plan:
    """An experiment on some GPUs.

    Attributes:
        devices: GPUs of one training.
        couplings, samples: jobs that divide one generation between them.
    """

    gpus: int
    devices: int
    couplings: int
    samples: int
    estimate: Estimate

    def limit(self) -> str:
        """What keeps the wall time up: the work of all GPUs or the longest chain of jobs, and the largest stage in it."""
        found, (chain, hours) = self.estimate, self.estimate.critical()
        if found.gpu_hours() / self.gpus > hours:
            most = found.bottleneck()
            return f"work, {found.gpu_hours(most) / found.gpu_hours():.0%} {most}"
        of, spent = {job.out: job.stage for job in found.jobs}, Counter()
        for name in chain:
            spent[of[name]] += found.seconds[name] / 3600
        ((stage, most),) = spent.most_common(1)
        return f"chain, {most / hours:.0%} {stage}"


def plans(params: Params, target: str, machine: Machine, root: Path, gpus: int) -> list[Plan]:
    """A job a GPU, divided as the parameters say; then, where that is quicker, the best within a node, and over nodes.

    For the latter a training gets a power of two of GPUs that can share each batch, and a generation a job for each GPU.

    Args:
        target, machine, root: as for `estimate`.
    """

    def plan(devices: int, couplings: int, samples: int) -> Plan:
        runtime = params.runtime.model_copy(update={"devices": devices, "nodes": 1})
        shards = params.shards.model_copy(update={"couplings": couplings, "samples": samples})
        changed = params.model_copy(update={"runtime": runtime, "shards": shards})
        return Plan(gpus, devices, couplings, samples, estimate(changed, target, machine, root))

    found = [plan(1, params.shards.couplings, params.shards.samples)]
    stages = {job.stage for job in found[0].estimate.jobs}
    texts = min(params.sampling.count, params.conditional.prompts * params.conditional.completions)
    powers = [2**power for power in range(gpus.bit_length()) if gpus > 1 and not list(ready.shares(stages, params, 2**power))]
    tried = [plan(devices, min(gpus, params.couplings.pairs), min(gpus, texts)) for devices in powers]
    for most in (NODE, gpus):
        within = [other for other in tried if other.devices <= most]
        best = min([found[-1], *within], key=lambda one: (round(one.estimate.wall_hours(gpus), 2), one.devices))
        found += [best] if best is not found[-1] else []
    return found
