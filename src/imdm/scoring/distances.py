"""Distances of samples from real text: of a judge's features, and of n-grams; and MAUVE by mauve-text, on features computed once.

A distance is one value a sample, whose mean is the distance: to first order these are the samples' influence on it. The bootstrap of a
mean then gives its interval. Resampling the distance itself does not: a sample that is drawn twice makes every one of them larger.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

import numpy as np
import torch

from imdm.errors import UserError
from imdm.scoring.diversity import ngrams

# faiss asks for 39 points a centroid; mauve-text's own bucket rule, a tenth of the smaller set, gives it about 20.
_HARMLESS = b"WARNING clustering"


def standardized(samples: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features [n, d] and [m, d] in standard deviations of the reference, float64: no distance then depends on the judge's scale."""
    mean, sd = reference.mean(0, dtype=np.float64), reference.std(0, dtype=np.float64)
    scale = np.where(sd > 0, sd, 1.0)
    return (samples - mean) / scale, (reference - mean) / scale


def energy(samples: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'| (Székely and Rizzo 2013) of features [n, d] and [m, d], float64 [n].

    Without the pairs of a sample with itself, so that its expectation is 0 where both are of one distribution, at any count; it may
    then come out below 0. n and m are at least 2.
    """
    x, y = torch.from_numpy(samples), torch.from_numpy(reference)
    across, within = torch.cdist(x, y).mean(1).numpy(), torch.cdist(x, x).sum(1).numpy() / (len(x) - 1)
    real = float(torch.cdist(y, y).sum()) / (len(y) * (len(y) - 1))
    return 2 * across - (2 * within - within.mean()) - real


def frechet(samples: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Fréchet distance |m - m'|^2 + tr(S + S' - 2 (S S')^(1/2)) of Gaussians with the moments of features [n, d] and [m, d]: float64 [n].

    As the FID of images (Heusel et al. 2017). Its expectation is above 0, by about d / n: compare it at equal counts. n and m are at
    least 2.
    """
    x, difference = samples - samples.mean(0), samples.mean(0) - reference.mean(0)
    covariance, real = (np.atleast_2d(np.cov(features, rowvar=False)) for features in (samples, reference))
    values, vectors = np.linalg.eigh(real)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    values, vectors = np.linalg.eigh(root @ covariance @ root)
    roots = np.sqrt(np.where(values > values.max(initial=0) * len(values) * 1e-15, values, 0))
    distance = difference @ difference + np.trace(covariance) + np.trace(real) - 2 * roots.sum()
    # the map of optimal transport between the two Gaussians, which is the derivative of the last trace
    half = root @ vectors
    transport = (half * np.divide(1, roots, out=np.zeros_like(roots), where=roots > 0)) @ half.T
    influence = 2 * x @ difference + (x**2).sum(1) - ((x @ transport) * x).sum(1)
    return distance + influence - influence.mean()


def jensen_shannon(samples: np.ndarray, reference: np.ndarray, n: int) -> np.ndarray:
    """Jensen-Shannon divergence in nats between the n-grams of token ids [rows, L] and of reference [rows, L], float64 [rows].

    From 0 to ln 2. Of two finite texts it is above 0 even where their source is the same: compare it at equal counts.
    """
    size = max(1 + int(part.max()) for part in (samples, reference))
    grams = np.concatenate([ngrams(tokens, n).reshape(-1, n) for tokens in (samples, reference)])
    ids = grams[:, 0].astype(np.int64)
    for place in range(1, n):
        ids = np.unique(ids * size + grams[:, place], return_inverse=True)[1]
    own, other = np.split(ids, [len(samples) * (samples.shape[1] - n + 1)])
    p, q = (np.bincount(part, minlength=ids.max() + 1) / len(part) for part in (own, other))
    mean = (p + q) / 2
    log_p, log_q = (np.log(np.divide(part, mean, out=np.ones_like(mean), where=part > 0)) for part in (p, q))
    return log_p[own].reshape(len(samples), -1).mean(1) / 2 + (q * log_q).sum() / 2


def mauve(reference: np.ndarray, samples: np.ndarray, seeds: int, scale: float) -> tuple[float, float]:
    """MAUVE of samples' features [m, d] against those of reference text [n, d]: mean and standard deviation over k-means seeds 1 .. seeds.

    The clustering's seed alone moves it by 0.005 to 0.01, so one value says little. `scale` is MAUVE's c; buckets, PCA and restarts are
    mauve-text's defaults.

    Raises:
        UserError: mauve-text is not installed.
    """
    try:
        import faiss
        from mauve import compute_mauve
    except ImportError as error:
        raise UserError(f"MAUVE needs {error.name}; install the packages of requirements.lock, or set scoring.mauve_seeds=0.") from None

    faiss.omp_set_num_threads(1)
    values = []
    for seed in range(1, seeds + 1):
        with _without_harmless_lines():
            result = compute_mauve(p_features=reference, q_features=samples, seed=seed, mauve_scaling_factor=scale, verbose=False)
        values.append(result.mauve)
    return float(np.mean(values)), float(np.std(values, ddof=1)) if seeds > 1 else 0.0


@contextlib.contextmanager
def _without_harmless_lines() -> Iterator[None]:
    """Drop faiss's warning, which its C++ code writes to the process's standard error; the rest is passed on."""
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
            os.write(2, b"".join(line for line in caught if not line.startswith(_HARMLESS)))
