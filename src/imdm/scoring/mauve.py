"""MAUVE by mauve-text, on features that are computed once."""

from __future__ import annotations

import contextlib
import io

import numpy as np


def mauve(reference: np.ndarray, samples: np.ndarray, seeds: int, scale: float) -> tuple[float, float]:
    """MAUVE of samples against reference text, averaged over k-means seeds.

    The clustering's seed alone moves it by 0.005 to 0.01, so one value says little. Buckets, PCA and
    restarts are mauve-text's defaults.

    Args:
        reference, samples: features [n, d] and [m, d].
        seeds: number of k-means seeds, 1 .. seeds.
        scale: MAUVE's c.

    Returns:
        (mean, standard deviation) over the seeds.
    """
    import faiss
    from mauve import compute_mauve

    faiss.omp_set_num_threads(1)
    values = []
    for seed in range(1, seeds + 1):
        # faiss warns of few points per centroid, which mauve-text's own bucket rule brings about.
        with contextlib.redirect_stderr(io.StringIO()):
            found = compute_mauve(p_features=reference, q_features=samples, seed=seed, mauve_scaling_factor=scale, verbose=False)
        values.append(found.mauve)
    return float(np.mean(values)), float(np.std(values, ddof=1)) if seeds > 1 else 0.0
