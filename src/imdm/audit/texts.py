"""What samples share with couplings, with training text and with each other, one value a sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from imdm.audit.ngrams import hash_ngrams, search, shared

_PAIRS = 2**24  # (sample, coupling) at once
TextSets = dict[tuple[str, int | None], np.ndarray]  # (model, steps): token ids [n, L]; REAL has no steps


@dataclass(frozen=True)
class Corpora:
    """What samples may be copied from.

    Attributes:
        train: training blocks [b, L], which may be a memory map.
        couplings: x of the couplings that a model was trained on, int32 [c, L]; None for a model without.
    """

    train: np.ndarray
    couplings: Tensor | None

    def blocks(self, sizes: list[int]) -> int:
        """Blocks that `text_frame` reads."""
        return len(sizes) * (len(self.train) + (0 if self.couplings is None else len(self.couplings)))


def text_frame(sets: TextSets, corpora: Corpora, sizes: list[int], device: torch.device, done: Callable[[int], object]) -> pd.DataFrame:
    """Every share in percent, by model, steps and sample.

    in_train_N_pct, in_couplings_N_pct: N-grams, at all positions, that occur there. shared_N_pct: that occur in another
    sample of the same model and steps, so that their number matters. nearest_coupling_pct: `nearest_overlap`;
    nearest_block_pct: the largest share of the longest n-grams that one training block has.

    Args:
        sets: all are looked for in one pass.
        sizes: values of N.
        done: called with the number of blocks that were read.
    """
    rows, longest = np.concatenate(list(sets.values())), max(sizes)
    index = pd.MultiIndex.from_tuples([(*key, i) for key, tokens in sets.items() for i in range(len(tokens))])
    frame = pd.DataFrame(dict(zip(("model", "steps", "sample"), zip(*index))))
    frame["steps"] = frame["steps"].astype("Int64")
    for n in sizes:
        train = search(rows, corpora.train, n, done, nearest=n == longest)
        frame[f"in_train_{n}_pct"] = 100 * train.share
        frame[f"shared_{n}_pct"] = np.concatenate([100 * shared(hash_ngrams(tokens, n)) for tokens in sets.values()])
        if train.nearest is not None:
            frame["nearest_block_pct"] = 100 * train.nearest
        if corpora.couplings is not None:
            frame[f"in_couplings_{n}_pct"] = 100 * search(rows, corpora.couplings.numpy(), n, done).share
    if corpora.couplings is not None:
        frame["nearest_coupling_pct"] = 100 * nearest_overlap(rows, corpora.couplings, device)
    return frame


@torch.inference_mode()
def nearest_overlap(rows: np.ndarray, couplings: Tensor, device: torch.device) -> np.ndarray:
    """Largest share of equal tokens at equal positions that one coupling has with each row, float64 [rows].

    By position, since a student learns a coupling's text at its place; a noisy copy is seen too. 1 for a text repeated
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
