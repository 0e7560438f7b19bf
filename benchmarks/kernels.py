"""Where a run's time goes: the kernels of one side of a case, by torch's profiler.

Example: python -m benchmarks.kernels --scale gpu --case pretrain
"""

from __future__ import annotations

import argparse

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.cases import CASES, OURS
from benchmarks.inputs import device
from benchmarks.scales import SCALES


def table(scale: str, case: str, side: str, rows: int) -> str:
    """Kernels of a GPU, or operators of a CPU, by the time they take themselves; of a run after one that warms up."""
    made = CASES[case].sides[side](SCALES[scale])
    made.run()
    kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device().type == "cuda")
    with profile(activities=kinds) as profiled:
        seconds = made.run()
    where = "self_device_time_total" if device().type == "cuda" else "self_cpu_time_total"
    heading = f"{CASES[case].title}, {side}: {seconds:.4g} s a run (for trainings: a step of several), with the profiler\n"
    return heading + profiled.key_averages().table(sort_by=where, row_limit=rows, max_name_column_width=90)


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.kernels", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", choices=SCALES, default="quick")
    parser.add_argument("--case", choices=CASES, default="pretrain")
    parser.add_argument("--side", default=OURS, help=f"default: {OURS}")
    parser.add_argument("--rows", type=int, default=25)
    args = parser.parse_args()
    torch.set_float32_matmul_precision("high")  # as imdm.stage.device.setup
    print(table(args.scale, args.case, args.side, args.rows))


if __name__ == "__main__":
    main()
