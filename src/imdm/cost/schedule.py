"""How long a graph of jobs takes on some GPUs."""

from __future__ import annotations

import heapq

from imdm.cost.jobs import Job


def longest_tail(jobs: list[Job], seconds: dict[str, float]) -> dict[str, float]:
    """Time from each job's start to the end of the longest chain that begins with it.

    Args:
        jobs: in an order in which they can run.
        seconds: of each job by `out`.
    """
    after: dict[str, float] = dict.fromkeys(seconds, 0.0)
    tail = {}
    for job in reversed(jobs):
        tail[job.out] = seconds[job.out] + after[job.out]
        for name in job.waits:
            after[name] = max(after[name], tail[job.out])
    return tail


def critical_path(jobs: list[Job], seconds: dict[str, float]) -> list[str]:
    """The longest chain, which no number of GPUs makes shorter."""
    tail, found = longest_tail(jobs, seconds), []
    ready = [job for job in jobs if not job.waits]
    while ready:
        found.append(max(ready, key=lambda job: tail[job.out]).out)
        ready = [job for job in jobs if found[-1] in job.waits]
    return found


def makespan(jobs: list[Job], seconds: dict[str, float], needs: dict[str, int], gpus: int) -> float:
    """List scheduling: of the ready jobs for which enough GPUs are free, the one with the longest tail starts.

    A job has its GPUs for itself. Jobs without a GPU start as soon as what they wait for is done.

    Args:
        needs: GPUs of each job by `out`, none more than `gpus`.

    Returns:
        Seconds until the last job is done.
    """
    tail = longest_tail(jobs, seconds)
    open_waits = {job.out: len(set(job.waits)) for job in jobs}
    followers: dict[str, list[str]] = {job.out: [] for job in jobs}
    for job in jobs:
        for name in set(job.waits):
            followers[name].append(job.out)
    ready = [(-tail[job.out], job.out) for job in jobs if not job.waits]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now, free = 0.0, gpus
    while ready or running:
        waiting = []
        while ready:
            item = heapq.heappop(ready)
            if needs[item[1]] > free:
                waiting.append(item)
                continue
            free -= needs[item[1]]
            heapq.heappush(running, (now + seconds[item[1]], item[1]))
        ready = waiting
        now, name = heapq.heappop(running)
        free += needs[name]
        for follower in followers[name]:
            open_waits[follower] -= 1
            if not open_waits[follower]:
                heapq.heappush(ready, (-tail[follower], follower))
    return now
