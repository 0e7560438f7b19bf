"""Muon: momentum whose matrix is made orthogonal, for the matrices of transformer blocks (Jordan et al., 2024)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def block_matrices(network: nn.Module) -> list[Tensor]:
    """The attention's and the MLP's matrices: all that maps width to width; adaLN starts at 0 and has no direction to keep."""
    named = network.named_parameters()
    return [weight for name, weight in named if name.startswith("blocks.") and weight.ndim == 2 and "adaLN" not in name]


class MuonAdamW(torch.optim.AdamW):
    """Muon for the matrices of a network's blocks, AdamW for all else, as one optimizer with one learning rate.

    Muon's steps are scaled to the root mean square that AdamW's have, so that its learning rates hold (Liu et al., 2025).

    Args:
        network: whose weights are trained.
        lr, weight_decay: of both.
    """

    def __init__(self, network: nn.Module, lr: float, weight_decay: float):
        matrices = block_matrices(network)
        apart = {id(weight) for weight in matrices}
        others = [weight for weight in network.parameters() if id(weight) not in apart]
        super().__init__(others, lr, weight_decay=weight_decay, fused=True)
        self.muon = torch.optim.Muon(matrices, lr, weight_decay, adjust_lr_fn="match_rms_adamw")

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        self.muon.param_groups[0]["lr"] = self.param_groups[0]["lr"]
        self.muon.step()
        return super().step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.muon.zero_grad(set_to_none)
        super().zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"muon": self.muon.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.muon.load_state_dict(state_dict["muon"])
        super().load_state_dict(state_dict)
