"""Runs the sides of a case in turn, each in a process of its own, so that each has its own peak memory."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import ROOT
from benchmarks.inputs import device


class Worker:
    """The process of one side."""

    def __init__(self, *arguments: str | int):
        words = [sys.executable, "-m", "benchmarks.worker", *map(str, arguments)]
        self.label = str(arguments[1])
        self.process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, what: str) -> Any:
        """The answer to one line."""
        self.send(what)
        return self.answer()

    def send(self, what: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # then there is no answer
            self.process.stdin.write(f"{what}\n")
            self.process.stdin.flush()

    def answer(self) -> Any:
        """What the process says to the line that was sent.

        Raises:
            RuntimeError: the process ended instead; its own words are on standard error.
        """
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process of {self.label!r} ended with status {self.process.wait()}; see above")
        return json.loads(answer)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def measure(case: str, labels: list[str], scale: str, rounds: int, whole: bool, threads: int, log: Callable[[str], None]) -> dict[str, Any]:
    """Every side of a case, `rounds` times in turn, the order reversed every other time.

    Returns:
        for each label: tokens, calls, note, seconds (one a round), peak_mib, loaded_mib; phases and body_seconds of ours; of a GPU
        also first_seconds: a run that compiled and recorded, all sides at once.

    Raises:
        RuntimeError: a side failed, or the sides have not the same weights.
    """
    workers = [Worker(case, label, scale, int(whole), threads) for label in labels]
    try:
        for worker in workers if device().type == "cuda" else []:  # all at once, since compilers take longer than what is measured
            worker.send("run")
        first = {worker.label: worker.answer() for worker in workers if device().type == "cuda"}
        sides = {worker.label: worker.ask("trace") | {"seconds": [], "first_seconds": first.get(worker.label)} for worker in workers}
        if len({side["weights"] for side in sides.values()}) != 1:
            raise RuntimeError(f"the sides of {case} have different weights")
        for number in range(rounds):
            for worker in workers[:: -1 if number % 2 else 1]:
                seconds = worker.ask("run")
                sides[worker.label]["seconds"].append(seconds)
                log(f"{case}, round {number + 1} of {rounds}, {worker.label}: {seconds:.3g} s")
        for worker in workers:
            sides[worker.label] |= worker.ask("end")
    finally:
        for worker in workers:
            worker.close()
    return sides


def ratios(ours: list[float], other: list[float]) -> tuple[float, float, float]:
    """(median, least, greatest) of other / ours over rounds."""
    quotients = [b / a for a, b in zip(ours, other)]
    return median(quotients), min(quotients), max(quotients)


def machine(threads: int) -> dict[str, Any]:
    """What the run was made on, with its rates and its load before."""
    import torch

    from benchmarks.floor import machine_rates
    from benchmarks.inputs import body_dtype
    from imdm.stage.device import precision_name
    from imdm.stage.gpus import recognise

    if threads:
        torch.set_num_threads(threads)
    where, dtype = device(), body_dtype()
    about: dict[str, Any] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "precision": precision_name(dtype),
        "gpu": None,
    }
    if where.type == "cuda":
        about["gpu"] = torch.cuda.get_device_name()
        known = recognise(about["gpu"], torch.cuda.get_device_properties(0).total_memory / 1e9)
        about["data_sheet_flops"] = known.bfloat16 * 1e12 if known else None
    return about | machine_rates(where, dtype or torch.float32)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    )
    return names[0] if names else platform.processor() or platform.machine()
