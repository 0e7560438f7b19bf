"""Device, precision, threads: how a stage runs on this machine."""

from __future__ import annotations

import torch

from imdm.errors import UserError
from imdm.params import Runtime


def setup(runtime: Runtime) -> tuple[torch.device, torch.dtype | None]:
    """Apply the runtime parameters.

    Returns:
        the device, and the dtype of the network's body (None: float32 weights as they are).

    Raises:
        UserError: cuda is asked for and absent.
    """
    if runtime.device == "cuda" and not torch.cuda.is_available():
        raise UserError("runtime.device is cuda, but torch sees no GPU here; set it to auto or cpu.")
    if runtime.threads:
        torch.set_num_threads(runtime.threads)
    torch.use_deterministic_algorithms(runtime.deterministic)
    torch.set_float32_matmul_precision("highest" if runtime.deterministic else "high")
    use_gpu = runtime.device != "cpu" and torch.cuda.is_available()
    bf16 = runtime.precision == "bfloat16" or (runtime.precision == "auto" and use_gpu)
    return torch.device("cuda" if use_gpu else "cpu"), torch.bfloat16 if bf16 else None


def precision_name(body_dtype: torch.dtype | None) -> str:
    """For tables: precision of the network's body; draws are always float64."""
    return "float32" if body_dtype is None else str(body_dtype).removeprefix("torch.")
