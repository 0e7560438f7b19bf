"""MAUVE by mauve-text, on features that are computed once."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

import numpy as np

from imdm.errors import UserError

# faiss asks for 39 points a centroid; mauve-text's own bucket rule, a tenth of the smaller set, gives it about 20.
_HARMLESS = b"WARNING clustering"


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
