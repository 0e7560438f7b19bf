"""The process of one side: `python -m benchmarks.worker CASE SIDE SCALE WHOLE THREADS`.

It answers each line on standard input with a line of JSON: `trace` (one run with counters, which also warms it up),
`run` (seconds) and `end` (peak memory).
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.cases import CASES
from benchmarks.floor import phases
from benchmarks.inputs import device
from benchmarks.scales import SCALES
from benchmarks.side import Side
from benchmarks.trace import Trace

_STATUS = Path("/proc/self/status")


def peak_mib() -> float:
    """Most memory since `forget_peak`: of the GPU where there is one, else resident."""
    if device().type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    if _STATUS.exists():  # ru_maxrss of Linux begins with the resident size of the process that started this one
        return int(_STATUS.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def forget_peak() -> None:
    """What the choice of inputs took is not the side's; only Linux can forget the resident peak."""
    if device().type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    elif _STATUS.exists():
        _STATUS.with_name("clear_refs").write_text("5")


def trace(side: Side, ours: bool) -> dict[str, Any]:
    with contextlib.ExitStack() as stack:
        counts = [stack.enter_context(Trace(network)) for network in side.networks]
        seconds = side.run()
    counts = [seen.each(side.times) for seen in counts]
    calls = side.calls or sum(seen.calls for seen in counts)
    result = {"tokens": side.tokens, "calls": calls, "note": side.note, "traced_seconds": seconds}
    if ours and counts:
        result |= {"phases": phases(side, counts), "body_seconds": sum(seen.body_seconds for seen in counts)}
        result["counts"] = [asdict(seen) for seen in counts]
    return result


def main(case: str, label: str, scale_name: str, whole: str, threads: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    if int(threads):
        torch.set_num_threads(int(threads))
    torch.set_float32_matmul_precision("high")  # as imdm.stage.device.setup
    scale = SCALES[scale_name]
    if int(whole):
        scale = replace(scale, measured=max(scale.steps, scale.coupling_steps))
    sides = CASES[case].sides
    side = sides[label](scale)
    weights = [parameter.double().abs().sum().item() for network in side.networks for parameter in network.parameters()]
    forget_peak()
    loaded = peak_mib()
    work = {
        "trace": lambda: trace(side, label == next(iter(sides))) | {"weights": sum(weights)},
        "run": side.run,
        "end": lambda: {"peak_mib": peak_mib(), "loaded_mib": loaded},
    }
    for line in sys.stdin:
        print(json.dumps(work[line.strip()]()), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
