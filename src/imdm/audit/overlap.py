"""The nearest coupling of a sample."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_PAIRS = 2**24  # (sample, coupling) at once


@torch.inference_mode()
def nearest_overlap(rows: np.ndarray, couplings: Tensor, device: torch.device) -> np.ndarray:
    """Largest share of equal tokens at equal positions that one coupling has with each row, float64 [rows].

    By position, since a student learns a coupling's text at its place; a noisy copy is found too. 1 for a text repeated
    word for word. Two unrelated texts agree where a token is frequent, so the value of real text belongs beside it.

    Args:
        rows: token ids [r, L].
        couplings: their completions x [c, L].
    """
    ours, theirs = (tokens.to(device, torch.int32).T.contiguous() for tokens in (torch.from_numpy(rows), couplings))
    most = torch.zeros(len(rows), dtype=torch.int16, device=device)
    size = max(1, _PAIRS // len(rows))
    for first in range(0, len(couplings), size):
        equal = torch.zeros(len(rows), min(size, len(couplings) - first), dtype=torch.int16, device=device)
        for mine, other in zip(ours, theirs[:, first : first + size]):
            equal += mine[:, None] == other
        most = torch.maximum(most, equal.amax(1))
    return most.cpu().numpy() / rows.shape[1]
