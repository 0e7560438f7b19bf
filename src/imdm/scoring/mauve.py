"""MAUVE (Pillutla et al. 2021) by mauve-text, from features that the judge has already computed."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

# faiss asks for 39 points a cluster; MAUVE's own rule, a tenth as many buckets as texts, always gives it fewer.
_HARMLESS = b"WARNING clustering"


class Mauve(NamedTuple):
    """Mean and standard deviation over k-means seeds (sd is None for a single seed)."""

    mean: float
    sd: float | None


def mauve(reference: np.ndarray, samples: np.ndarray, scale: float, seeds: list[int]) -> Mauve:
    """How close samples are to reference text, in (0, 1]; higher is closer.

    The library's defaults: l2-normalised features, PCA to 90% of the variance, as many buckets as a tenth of the smaller
    set (at least 2), 5 restarts of k-means, 25 points on the curve.

    Args:
        reference, samples: float [n, d] and [m, d], the judge's last hidden state at the last token.
        scale: the scaling factor c.
        seeds: of k-means; a single one moves the value by about 0.01.
    """
    import faiss
    from mauve import compute_mauve

    faiss.omp_set_num_threads(torch.get_num_threads())  # its default is every core, whatever the job was given
    with _without_harmless_lines():
        values = [
            compute_mauve(p_features=reference, q_features=samples, mauve_scaling_factor=scale, seed=seed, verbose=False).mauve for seed in seeds
        ]
    return Mauve(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)


@contextlib.contextmanager
def _without_harmless_lines() -> Iterator[None]:
    """Drop the warning of faiss, which its C++ code writes to the process's standard error; pass on the rest."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            other = [line for line in caught.readlines() if not line.startswith(_HARMLESS)]
            if other:
                os.write(2, b"".join(other))
