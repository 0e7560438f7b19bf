"""Exponential moving average of a network's parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Ema:
    """Shadow weights with decay min(decay, (1 + n) / (10 + n)) at update n, as in MDLM.

    Args:
        network: whose parameters are followed; the shadow starts as a copy.
        decay: final decay; 0 keeps the shadow equal to the weights.
        warmup: false for the final decay from the first update on, as of an average that goes on after many.
    """

    def __init__(self, network: nn.Module, decay: float, warmup: bool = True):
        self.decay, self.warmup, self.updates = decay, warmup, 0
        self.names = [name for name, _ in network.named_parameters()]
        self.shadow = [parameter.detach().clone() for parameter in network.parameters()]

    def to(self, device: torch.device) -> None:
        """Put the shadow beside the weights."""
        self.shadow = [tensor.to(device) for tensor in self.shadow]

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the shadow towards the current weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates)) if self.warmup else self.decay
        torch._foreach_lerp_(self.shadow, list(network.parameters()), 1 - decay)

    @torch.no_grad()
    def copy_to(self, network: nn.Module) -> None:
        """Replace the network's weights by the shadow."""
        torch._foreach_copy_(list(network.parameters()), self.shadow)

    def state_dict(self) -> dict[str, Any]:
        """Updates and shadow weights by name."""
        return {"updates": self.updates, "shadow": dict(zip(self.names, self.shadow))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`'s result."""
        self.updates = state["updates"]
        for name, tensor in zip(self.names, self.shadow):
            tensor.copy_(state["shadow"][name])
