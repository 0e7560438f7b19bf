"""Device, precision, threads, compilation: how a stage runs on this machine."""

from __future__ import annotations

import os
import sys

import torch
from torch import Tensor

from imdm.errors import UserError
from imdm.network.network import Network
from imdm.params import Runtime
from imdm.stage.gpus import recognise


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
    if runtime.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else torch refuses matrix products on a GPU
    # As torch.use_deterministic_algorithms, which also sets Inductor's switch and imports it, a second, for that.
    torch.set_deterministic_debug_mode("error" if runtime.deterministic else "default")
    torch.set_float32_matmul_precision("highest" if runtime.deterministic else "high")
    use_gpu = runtime.device != "cpu" and torch.cuda.is_available()
    bf16 = runtime.precision == "bfloat16" or (runtime.precision == "auto" and use_gpu)
    return torch.device("cuda" if use_gpu else "cpu"), torch.bfloat16 if bf16 else None


def precision_name(body_dtype: torch.dtype | None) -> str:
    """For tables: precision of the network's body; draws are always float64."""
    return "float32" if body_dtype is None else str(body_dtype).removeprefix("torch.")


def bfloat16_peak(device: torch.device) -> float | None:
    """The data sheet's operations a second of a GPU's tensor cores; None for a CPU, and a GPU that `imdm.stage.gpus` doesn't list."""
    if device.type != "cuda":
        return None
    about = torch.cuda.get_device_properties(device)
    gpu = recognise(about.name, about.total_memory / 1e9)
    return gpu.bfloat16 * 1e12 if gpu else None


def prepare(network: Network, runtime: Runtime, device: torch.device | None = None, cuda_graphs: bool = False) -> Network:
    """Put a network on its device, with the precision of its body and compiled blocks, as the parameters ask for it.

    Names and values of the weights stay as they are. Of embedding and head, where the number of masked positions differs from
    call to call, noise and losses alone are compiled, once for all numbers.

    Args:
        device: of several, this process's own; None for the one that `setup` finds.
        cuda_graphs: record the compiled blocks where the device is a GPU; for calls without gradient alone.
    """
    default, network.body_dtype = setup(runtime)
    network.to(device or default)
    if runtime.compile is True or (runtime.compile == "auto" and default.type == "cuda"):
        missing = _missing_compiler(default)
        if missing:
            print(f"runtime.compile: {missing} here, so the network runs uncompiled.", file=sys.stderr)
        else:
            torch.use_deterministic_algorithms(runtime.deterministic)
            network.compile_blocks(cuda_graphs and default.type == "cuda")
    return network


def prepare_frozen(network: Network, runtime: Runtime, device: torch.device | None = None, cuda_graphs: bool = False) -> Network:
    """`prepare` for a network that is only read: in eval mode, without gradients, its matrices in the body's precision."""
    network = prepare(network, runtime, device, cuda_graphs).eval().requires_grad_(False)
    network.lower_weights()
    return network


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor of the CPU to the device without waiting for what the device has to do before."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def _missing_compiler(device: torch.device) -> str | None:
    """What torch.compile lacks on this machine."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler
    from torch.utils._triton import has_triton

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return "there is no C++ compiler"
    return "there is no Triton" if device.type == "cuda" and not has_triton() else None
