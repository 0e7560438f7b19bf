"""Memory of logits: most bytes at once of what has one number for each token of the vocabulary, in a loss and its backward pass.

Logits, log-probabilities, targets, the float64 weights of draws, and gradients of all these count; weights and their
gradients do not. One pass of each side is run, on the same batch; the number is counted, not measured, so it is the same on
every machine.

Example: python -m benchmarks.logits --scale quick
"""

from __future__ import annotations

import argparse
import json
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks import ours, theirs
from benchmarks.scales import SCALES, Scale
from imdm.network.network import Network


class VocabularyBytes(TorchDispatchMode):
    """Counts the bytes of living tensors with at least one number a token of the vocabulary at a position.

    Args:
        networks: whose weights, and gradients of their shapes, don't count.

    Attributes:
        peak: most bytes at once.
    """

    def __init__(self, networks: list[Network]):
        super().__init__()
        self.vocab = networks[0].config.vocab_size
        self.shapes = {parameter.shape for network in networks for parameter in network.parameters()}
        self.shapes |= {torch.Size(reversed(shape)) for shape in self.shapes}
        self.living: dict[int, int] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and self._counts(tensor):
                storage = tensor.untyped_storage()
                key = storage._cdata
                if key not in self.living:
                    self.living[key] = storage.nbytes()
                    self.now += storage.nbytes()
                    self.peak = max(self.peak, self.now)
                    weakref.finalize(storage, self._free, key)
        return out

    def _counts(self, tensor: torch.Tensor) -> bool:
        """Whether its last dimensions are a vocabulary, or one in groups as our draws have it."""
        wide = tensor.dim() > 1 and tensor.shape[-1] == self.vocab
        grouped = tensor.dtype == torch.float64 and tensor.dim() > 1 and tensor.numel() >= len(tensor) * self.vocab
        return (wide or grouped) and tensor.shape not in self.shapes

    def _free(self, key: int) -> None:
        self.now -= self.living.pop(key)


def measure(scale: Scale) -> list[dict[str, Any]]:
    """One row a training: bytes of both sides and their ratio."""
    sides: dict[str, tuple[Callable[[], ours.Task], Callable[[ours.Task], Callable[[], torch.Tensor]]]] = {
        "Pretraining step, infinite mask": (lambda: ours.pretraining(scale, "infinite"), theirs.nelbo_loss),
        "ReDi step, infinite mask": (lambda: ours.redi(scale), theirs.nelbo_loss),
        "SDTT step, infinite mask": (lambda: ours.sdtt(scale), theirs.distillation_loss),
    }
    rows = []
    for name, (make, their_loss) in sides.items():
        peaks = {}
        for side in ("ours", "peers"):
            task = make()
            loss = their_loss(task) if side == "peers" else partial(task.training.loss, task.step)
            with VocabularyBytes([network for network in (task.network, task.teacher) if network is not None]) as count:
                loss().backward()
            peaks[side] = count.peak
        rows.append({"name": name, "ours": peaks["ours"], "peers": peaks["peers"], "share": peaks["ours"] / peaks["peers"]})
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        "python -m benchmarks.logits", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", choices=SCALES, default="quick")
    print(json.dumps(measure(SCALES[parser.parse_args().scale]), indent=1))
