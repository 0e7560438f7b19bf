"""Gen-PPL as MDLM, Duo and IMDM compute it: batches of 8 in the samples' order, padded to one length, all logits in float32."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F


@torch.no_grad()
def nll_and_tokens(model: torch.nn.Module, rows: list[list[int]], length: int, end_id: int, batch: int = 8) -> tuple[float, int]:
    """Summed NLL in nats and counted targets: whatever is no end-of-text, and the first of these.

    Args:
        rows: token ids of each text; cut or padded to `length` with end-of-text, under an attention mask.
    """
    total, tokens = 0.0, 0
    for start in range(0, len(rows), batch):
        part = [row[:length] for row in rows[start : start + batch]]
        ids = torch.from_numpy(np.array([row + [end_id] * (length - len(row)) for row in part])).to(model.device)
        mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in part], device=model.device)
        logits = model(ids, attention_mask=mask).logits.transpose(-1, -2)
        nll = F.cross_entropy(logits[..., :-1], ids[..., 1:], reduction="none")
        first = (ids == end_id).cumsum(-1) == 1
        counts = (first | (ids != end_id))[..., 1:] * mask[..., 1:]
        total, tokens = total + float((nll * counts).sum()), tokens + int(counts.sum())
    return total, tokens
