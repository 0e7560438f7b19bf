"""What samples share with couplings, with training text and with each other, one value a sample; and the audit's figures of it.

N-grams are compared as 64-bit hashes. Those of the samples are few and kept sorted; a corpus of any size is read once, in parts, so
that memory is bounded by the samples. A table of 2^27 leading hash bits (128 MiB) turns most of it away before the binary search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_array
from torch import Tensor

from imdm.scoring.bootstrap import mean_interval

_PREFIX = np.uint64(64 - 27)
_TOKENS = 2**21  # of the corpus at once
_PAIRS = 2**25  # most (sample, block) pairs at once
_COUPLINGS = 2**24  # most (sample, coupling) pairs at once
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
# Of each token id, so that a hash is linear in random numbers: two given n-grams collide with a probability of about 2^-64.
_VALUES = np.random.default_rng(0).integers(2**64, size=2**16, dtype=np.uint64)
TextSets = dict[tuple[str, int | None], np.ndarray]  # (model, steps): token ids [n, L]; REAL has no steps


def hash_ngrams(tokens: np.ndarray, n: int) -> np.ndarray:
    """Hashes of every n-gram of each row, uint64 [rows, L - n + 1].

    With q n-grams of samples and c of a corpus, about q * c / 2^64 are taken for equal that are not: 1e-3 of all q for
    q = 2e7 and c = 1e9.

    Args:
        tokens: ids below 65,536 [rows, L], L >= n; the end of a document is a token like any other.
    """
    values = _VALUES[tokens]
    last = tokens.shape[1] - n + 1
    hashes = values[:, :last].copy()
    for place in range(1, n):
        hashes *= _FACTOR
        hashes += values[:, place : place + last]
    return hashes


def shared(hashes: np.ndarray) -> np.ndarray:
    """Share of each row's n-grams, given as hashes uint64 [rows, n-grams of a row], that another row has too: float64 [rows]."""
    grams, inverse = np.unique(hashes, return_inverse=True)
    pairs = np.unique(inverse + len(grams) * np.arange(len(hashes))[:, None])  # a row counts once for an n-gram
    rows = np.bincount(pairs % len(grams), minlength=len(grams))
    return (rows[inverse] > 1).mean(1)


def search(
    rows: np.ndarray, blocks: np.ndarray, n: int, done: Callable[[int], object], nearest: bool = False
) -> tuple[np.ndarray, np.ndarray | None]:
    """Look for the n-grams of some rows in a corpus.

    Args:
        rows: token ids [r, L].
        blocks: token ids [b, M], which may be a memory map.
        done: called with the number of blocks after each part.
        nearest: also find each row's nearest block. Where in the block an n-gram stands does not matter, since packed
            blocks cut a text anywhere.

    Returns:
        of each row's n-grams, counted at every position, the share that occurs in the corpus, float64 [r]; and the largest share
        that occurs in one block, 1 for a block repeated word for word, or None where it was not asked for.
    """
    hashes = hash_ngrams(rows, n)
    grams, inverse = np.unique(hashes, return_inverse=True)
    index = np.repeat(np.arange(len(rows)), hashes.shape[1]), inverse.ravel()
    counts = csr_array((np.ones(inverse.size, dtype=np.int32), index), shape=(len(rows), len(grams)))  # of each row's n-grams
    there, most = np.zeros(len(grams), dtype=bool), np.zeros(len(rows))
    for gram, block, size in _occurrences(grams, blocks, n, max(1, _PAIRS // len(rows))):
        there[gram] = True
        if nearest:
            occurs = csr_array((np.ones(len(gram), dtype=np.int32), (gram, block)), shape=(len(grams), size))
            most = np.maximum(most, (counts @ occurs).max(axis=1).toarray().ravel())
        done(size)
    return there[inverse].mean(1), most / hashes.shape[1] if nearest else None


def _occurrences(grams: np.ndarray, blocks: np.ndarray, n: int, most: int) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """(n-gram, block) of every occurrence in a part of the corpus, each pair once, and the number of blocks in it.

    Args:
        grams: hashes, ascending and distinct.
        most: blocks of a part.
    """
    prefixes = np.zeros(2 ** (64 - int(_PREFIX)), dtype=bool)
    prefixes[grams >> _PREFIX] = True
    step = min(most, max(1, _TOKENS // blocks.shape[1]))
    for first in range(0, len(blocks), step):
        hashes = hash_ngrams(blocks[first : first + step], n)
        size = len(hashes)
        block, place = prefixes[hashes >> _PREFIX].nonzero()
        candidates = hashes[block, place]
        gram = np.searchsorted(grams, candidates).clip(max=len(grams) - 1)
        hit = grams[gram] == candidates
        pairs = np.unique(gram[hit] * np.int64(size) + block[hit])
        yield pairs // size, pairs % size, size


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
        share, nearest = search(rows, corpora.train, n, done, nearest=n == longest)
        frame[f"in_train_{n}_pct"] = 100 * share
        frame[f"shared_{n}_pct"] = np.concatenate([100 * shared(hash_ngrams(tokens, n)) for tokens in sets.values()])
        if nearest is not None:
            frame["nearest_block_pct"] = 100 * nearest
        if corpora.couplings is not None:
            frame[f"in_couplings_{n}_pct"] = 100 * search(rows, corpora.couplings.numpy(), n, done)[0]
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
    size = max(1, _COUPLINGS // len(rows))
    for first in range(0, len(couplings), size):
        equal = torch.zeros(len(rows), min(size, len(couplings) - first), dtype=torch.int16, device=device)
        for mine, other in zip(ours, theirs[:, first : first + size]):
            equal += mine[:, None] == other
        most = torch.maximum(most, equal.amax(1))
    return most.cpu().numpy() / rows.shape[1]


def text_figures(frame: pd.DataFrame, resamples: int, seed: int) -> list[dict[str, Any]]:
    """Means of `text_frame`; of the nearest coupling and block also the 95% quantile and the largest, without an interval.

    Returns:
        model, steps (None for real text), metric, value, low, high.
    """
    records = []
    for (model, steps), part in frame.groupby(["model", "steps"], sort=False, dropna=False):
        about = {"model": model, "steps": None if pd.isna(steps) else int(steps)}
        for metric, values in part.drop(columns=["model", "steps", "sample"]).astype(float).items():
            low, high = mean_interval(values.to_numpy(), resamples, seed)
            records.append(about | {"metric": metric, "value": float(values.to_numpy().mean()), "low": low, "high": high})
            if metric.startswith("nearest"):
                for name, value in (("q95", values.quantile(0.95)), ("max", values.max())):
                    named = f"{metric.removesuffix('_pct')}_{name}_pct"
                    records.append(about | {"metric": named, "value": float(value), "low": None, "high": None})
    return records
