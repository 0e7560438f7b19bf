"""The jobs of an experiment, as the workflow lists them, and the order between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Protocol


class Job(Protocol):
    """One run of a stage. Its `out` is its name; it waits for the jobs that make its inputs."""

    stage: str  # name of the script
    out: str  # file or folder that it makes
    arguments: Mapping[str, str | list[str]]  # values by the name of the flag, without dashes
    inputs: Sequence[str]  # files
    outputs: Sequence[str]


def model(job: Job) -> str | None:
    """The model that a job reads or makes: `teacher`, VARIANT/RECIPE or public/NAME; None where there is none."""
    for path in (job.arguments.get("model"), job.out, job.arguments.get("teacher")):
        if path and "/models/" in path:
            return path.partition("/models/")[2].removesuffix("/model.safetensors")
    return None


def shards(job: Job) -> int:
    """Into how many jobs its work is divided, of which this is one."""
    return int(job.arguments["shard"].partition("/")[2]) if "shard" in job.arguments else 1


def ordered(jobs: Sequence[Job]) -> dict[str, list[str]]:
    """What each job waits for, by `out`, in an order in which they can run."""
    jobs = sorted(jobs, key=lambda job: job.out)
    makers = {file: job.out for job in jobs for file in job.outputs}
    waits = {job.out: list(dict.fromkeys(makers[file] for file in job.inputs if file in makers)) for job in jobs}
    return {out: waits[out] for out in TopologicalSorter(waits).static_order()}


def longest_chain(waits: Mapping[str, Sequence[str]], seconds: Mapping[str, float]) -> list[str]:
    """The jobs one after another that take longest together, which no number of GPUs makes shorter.

    Args:
        waits: of `ordered`.
        seconds: of each job.
    """
    chains: dict[str, tuple[float, list[str]]] = {}
    for out, before in waits.items():
        length, chain = max((chains[name] for name in before), default=(0.0, []))
        chains[out] = (length + seconds[out], [*chain, out])
    return max(chains.values())[1]
