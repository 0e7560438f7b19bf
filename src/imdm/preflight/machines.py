"""GPUs, and how long work takes on them."""

from __future__ import annotations

from dataclasses import dataclass

from imdm.errors import UserError

# Share of the peak that lasts. Published: 26% for a 12x768 DiT at L = 1024 on H100 (flow_matching, 288k tokens/s),
# 40 to 46% for nanochat. Between them, since the head runs on masked positions only.
SUSTAINED = 0.3
# A transformer block takes this long however small its batch is: some 40 kernels to launch. Backward counts twice.
BLOCK_SECONDS = 3e-4


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


GPUS = {
    "rtx-3090": Gpu("rtx-3090", 71, 36, 24),
    "rtx-4090": Gpu("rtx-4090", 165, 83, 24),
    "l40s": Gpu("l40s", 362, 92, 48),
    "a100-40": Gpu("a100-40", 312, 19.5, 40),
    "a100-80": Gpu("a100-80", 312, 19.5, 80),
    "h100": Gpu("h100", 989, 67, 80),
    "h200": Gpu("h200", 989, 67, 141),
    "b200": Gpu("b200", 2250, 75, 180),
}


def find_gpu(name: str) -> Gpu:
    """A GPU by its name here.

    Raises:
        UserError: there is none of that name.
    """
    if name not in GPUS:
        raise UserError(f"--gpu {name} is not known; known are {', '.join(GPUS)}, and for another one give the nearest and --tflops.")
    return GPUS[name]


def recognise(description: str, memory: float) -> Gpu | None:
    """The GPU that nvidia-smi describes, such as `NVIDIA A100-SXM4-80GB` with 80 GB; None where it is unknown."""
    text = description.lower().replace(" ", "-")
    fits = [gpu for gpu in GPUS.values() if gpu.name.removesuffix("-40").removesuffix("-80") in text]
    return min(fits, key=lambda gpu: abs(gpu.memory - memory), default=None)


@dataclass(frozen=True)
class Machine:
    """One kind of GPU at a sustained rate.

    Attributes:
        tflops: sustained TFLOP/s in bfloat16; what runs in float32 is slower by the ratio of the peaks.
    """

    gpu: Gpu
    tflops: float

    @classmethod
    def of(cls, gpu: Gpu, tflops: float | None = None) -> Machine:
        """A GPU at a measured rate, or at `SUSTAINED` of its peak."""
        return cls(gpu, SUSTAINED * gpu.bfloat16 if tflops is None else tflops)

    def seconds(self, flops: float, blocks: float, float32: float = 0) -> float:
        """Time on one GPU: by arithmetic or by launching `blocks` transformer blocks, whichever is longer.

        Args:
            float32: how many of the operations are in full float32.
        """
        slower = self.gpu.bfloat16 / self.gpu.float32
        return max((flops + (slower - 1) * float32) / (self.tflops * 1e12), blocks * BLOCK_SECONDS)
