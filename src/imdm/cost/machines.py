"""How long work takes on a GPU."""

from __future__ import annotations

from dataclasses import dataclass

from imdm.stage.gpus import Gpu

# Share of the peak that lasts. Published: 26% for a 12x768 DiT at L = 1024 on H100 (flow_matching, 288k tokens/s),
# 40 to 46% for nanochat. Between them, since the head runs on masked positions only.
SUSTAINED = 0.3
# A transformer block takes this long however small its batch is: some 40 kernels to launch. Backward counts twice.
BLOCK_SECONDS = 3e-4


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
