"""GPUs by name, with their peak rates."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from imdm.errors import UserError


@dataclass(frozen=True)
class Gpu:
    """Peak rates without sparsity from the vendor's data sheet, TFLOP/s, and memory in GB.

    Attributes:
        bfloat16: tensor cores.
        float32: the judge's; full float32, no TF32.
    """

    name: str
    bfloat16: float
    float32: float
    memory: float


_LISTED = (
    Gpu("rtx-3090", 71, 36, 24),
    Gpu("rtx-4090", 165, 83, 24),
    Gpu("l40s", 362, 92, 48),
    Gpu("a100-40", 312, 19.5, 40),
    Gpu("a100-80", 312, 19.5, 80),
    Gpu("h100", 989, 67, 80),
    Gpu("h200", 989, 67, 141),
    Gpu("b200", 2250, 75, 180),
)
GPUS = {gpu.name: gpu for gpu in _LISTED}


def find_gpu(name: str) -> Gpu:
    """A GPU by its name here; raises UserError where there is none."""
    if name not in GPUS:
        raise UserError(f"--gpu {name} is not known; known are {', '.join(GPUS)}, and for another one give the nearest and --tflops.")
    return GPUS[name]


def recognise(description: str, memory: float) -> Gpu | None:
    """The GPU that nvidia-smi describes, such as `NVIDIA A100-SXM4-80GB` with 80 GB; None where it is unknown."""
    text = description.lower().replace(" ", "-")
    fits = [gpu for gpu in GPUS.values() if gpu.name.removesuffix("-40").removesuffix("-80") in text]
    return min(fits, key=lambda gpu: abs(gpu.memory - memory), default=None)


def visible_gpus() -> list[tuple[str, float]]:
    """Name and memory in GB of each GPU that nvidia-smi lists; empty without it."""
    ask = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        text = subprocess.run(ask, capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    lines = (line.rsplit(",", 1) for line in text.strip().splitlines())
    return [(name.strip(), float(memory) * 2**20 / 1e9) for name, memory in lines]
