"""The devices of a training: one, or several that train one network together (data parallel)."""

from __future__ import annotations

import contextlib
import gc
import os
from typing import Any, Self

import torch
from torch import Tensor, nn

from imdm.errors import UserError
from imdm.params import Runtime


class OneDevice:
    """All that the loop asks of its devices; one has nothing to agree on.

    Attributes:
        world: how many train together.
        rank: which of them this process is, from 0.
        local_rank: which of this machine's processes it is, from 0.
        model: what `wrap` was given, as the loop calls it.
    """

    world, rank, local_rank = 1, 0, 0
    model: nn.Module

    def __init__(self, device: torch.device):
        self.device = device

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def wrap(self, module: nn.Module) -> None:
        """Take the module whose gradients the devices exchange."""
        self.model = module

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def gather_later(self) -> contextlib.AbstractContextManager[None]:
        """While it is open, gradients are not yet exchanged between devices."""
        return contextlib.nullcontext()

    def mean(self, value: Tensor) -> Tensor:
        """Mean of a scalar over the devices."""
        return value

    def any(self, *flags: bool) -> list[bool]:
        """Each flag: whether it is true on any device."""
        return list(flags)

    def wait(self) -> None:
        """Return when all devices have come here."""


class SeveralDevices(OneDevice):
    """Devices of one or more nodes by Lightning Fabric, whose import takes seconds.

    On one node this process starts the others, also within a Slurm job of one task; several nodes find each other as
    Fabric's cluster environments (Slurm, torchrun, its own variables) say.
    """

    model: Any  # Fabric's wrapper of the module

    def __init__(self, device: torch.device, count: int, nodes: int):
        from lightning.fabric import Fabric
        from lightning.fabric.plugins.environments import LightningEnvironment

        self.fabric = Fabric(
            accelerator=device.type,
            devices=count,
            num_nodes=nodes,
            # Some parameters get no gradient in a warm start: it has no masks to embed.
            strategy="ddp_find_unused_parameters_true",
            plugins=[LightningEnvironment()] if nodes == 1 else None,
        )
        self.fabric.launch()
        super().__init__(self.fabric.device)
        self.world, self.rank = self.fabric.world_size, self.fabric.global_rank
        self.local_rank = self.fabric.local_rank

    def __exit__(self, *_: Any) -> None:
        # The wrapped model first: were it the last to hold the group, its destructor would wait for gloo's thread, which
        # may wait for the interpreter, which that destructor holds.
        vars(self).pop("model", None)
        gc.collect()
        torch.distributed.destroy_process_group()

    def wrap(self, module: nn.Module) -> None:
        self.model = self.fabric.setup(module)

    def backward(self, loss: Tensor) -> None:
        self.fabric.backward(loss)

    def gather_later(self) -> contextlib.AbstractContextManager[None]:
        return self.fabric.no_backward_sync(self.model)

    def mean(self, value: Tensor) -> Tensor:
        return torch.as_tensor(self.fabric.all_reduce(value, reduce_op="mean"))

    def any(self, *flags: bool) -> list[bool]:
        counts = self.fabric.all_reduce(torch.tensor(flags, dtype=torch.float32, device=self.device), reduce_op="sum")
        return (torch.as_tensor(counts) > 0).tolist()

    def wait(self) -> None:
        self.fabric.barrier()


def open_devices(runtime: Runtime, device: torch.device, batch_size: int) -> OneDevice:
    """The devices of the runtime parameters, with this node's other processes started. Raises UserError: they can't share the batch."""
    world = runtime.planned_gpus
    if batch_size % world:
        raise UserError(f"batch_size = {batch_size} can't be divided by {world} devices; make it a multiple.")
    if runtime.nodes > 1 and not {"SLURM_PROCID", "NODE_RANK", "RANK"} & os.environ.keys():
        raise UserError(f"runtime.nodes = {runtime.nodes} wants a process on each node; docs/cluster.md says what starts them.")
    return SeveralDevices(device, runtime.gpus, runtime.nodes) if world > 1 else OneDevice(device)
