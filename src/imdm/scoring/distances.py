"""Distances of samples from real text: of a judge's features, and of n-grams.

Each is one value a sample, whose mean is the distance: to first order these are the samples' influence on it. The bootstrap of a mean
then gives its interval. Resampling the distance itself does not: a sample that is drawn twice makes every one of them larger.
"""

from __future__ import annotations

import numpy as np
import torch


def standardized(samples: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features [n, d] and [m, d] in standard deviations of the reference, float64: no distance then depends on the judge's scale."""
    mean, sd = reference.mean(0, dtype=np.float64), reference.std(0, dtype=np.float64)
    scale = np.where(sd > 0, sd, 1.0)
    return (samples - mean) / scale, (reference - mean) / scale


def energy(samples: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'| (Székely and Rizzo 2013), float64 [n].

    Without the pairs of a sample with itself, so that its expectation is 0 where both are of one distribution, at any count; it may
    then come out below 0.

    Args:
        samples, reference: features [n, d] and [m, d], n and m at least 2.
    """
    x, y = torch.from_numpy(samples), torch.from_numpy(reference)
    across, within = torch.cdist(x, y).mean(1).numpy(), torch.cdist(x, x).sum(1).numpy() / (len(x) - 1)
    real = float(torch.cdist(y, y).sum()) / (len(y) * (len(y) - 1))
    return 2 * across - (2 * within - within.mean()) - real


def frechet(samples: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Fréchet distance |m - m'|^2 + tr(S + S' - 2 (S S')^(1/2)) of two Gaussians with the features' moments, float64 [n].

    As the FID of images (Heusel et al. 2017). Its expectation is above 0, by about d / n: compare it at equal counts.

    Args:
        samples, reference: features [n, d] and [m, d], n and m at least 2.
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
    parts = [_ngrams(tokens, n) for tokens in (samples, reference)]
    size = max(1 + int(part.max()) for part in (samples, reference))
    ids = np.concatenate([part[0].ravel() for part in parts]).astype(np.int64)
    for place in range(1, n):
        more = np.concatenate([part[place].ravel() for part in parts])
        ids = np.unique(ids * size + more, return_inverse=True)[1]
    own, other = np.split(ids, [parts[0][0].size])
    p, q = (np.bincount(part, minlength=ids.max() + 1) / len(part) for part in (own, other))
    mean = (p + q) / 2
    log_p, log_q = (np.log(np.divide(part, mean, out=np.ones_like(mean), where=part > 0)) for part in (p, q))
    return log_p[own].reshape(len(samples), -1).mean(1) / 2 + (q * log_q).sum() / 2


def _ngrams(tokens: np.ndarray, n: int) -> list[np.ndarray]:
    """The first, second, ... tokens of all n-grams, [rows, L - n + 1] each."""
    return [tokens[:, place : tokens.shape[1] - n + 1 + place] for place in range(n)]
