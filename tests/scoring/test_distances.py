"""Energy and Fréchet distance and Jensen-Shannon divergence, against scipy; their intervals, against resampling and repetition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import linalg, stats
from scipy.spatial.distance import jensenshannon

from imdm.scoring.bootstrap import mean_interval
from imdm.scoring.distances import energy, frechet, jensen_shannon, standardized


def test_the_energy_distance_is_scipys_but_for_pairs_of_equals():
    draw = np.random.default_rng(0)
    x, y = draw.normal(0.3, 1.2, 40), draw.normal(0, 1, 60)
    own, other = (np.abs(v[:, None] - v).mean() for v in (x, y))
    expected = stats.energy_distance(x, y) ** 2 - own / (len(x) - 1) - other / (len(y) - 1)
    assert energy(x[:, None], y[:, None]).mean() == pytest.approx(expected)


def test_the_energy_distance_of_one_distribution_is_zero_at_any_count():
    draw = np.random.default_rng(0)
    means = [energy(*(draw.normal(size=(n, 5)) for n in (6, 9))).mean() for _ in range(400)]
    assert abs(np.mean(means)) < 3 * np.std(means) / 20


def test_the_frechet_distance_is_that_of_a_matrix_root():
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(80, 5)) @ draw.normal(size=(5, 5)) + 0.4, draw.normal(size=(90, 5))
    a, b = np.cov(x.T), np.cov(y.T)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)
    assert frechet(x, y).mean() == pytest.approx(expected)


@pytest.mark.parametrize("rows", [2, 4])
def test_samples_that_are_all_equal_or_fewer_than_features_have_a_frechet_distance(rows):
    draw = np.random.default_rng(0)
    y, x = draw.normal(size=(50, 6)), np.tile(draw.normal(size=6), (rows, 1))
    expected = ((x[0] - y.mean(0)) ** 2).sum() + np.trace(np.cov(y.T))
    np.testing.assert_allclose(frechet(x, y), expected)
    few = draw.normal(size=(rows, 6))
    root = linalg.sqrtm(np.cov(few.T) @ np.cov(y.T)).real
    expected = ((few.mean(0) - y.mean(0)) ** 2).sum() + np.trace(np.cov(few.T) + np.cov(y.T) - 2 * root)
    assert frechet(few, y).mean() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_divergence_of_ngrams_is_scipys(n):
    draw = np.random.default_rng(0)
    x, y = draw.integers(0, 5, (30, 12)), draw.integers(0, 6, (20, 12))
    windows = [np.lib.stride_tricks.sliding_window_view(rows, n, axis=1).reshape(-1, n) @ 6 ** np.arange(n) for rows in (x, y)]
    p, q = (np.bincount(window, minlength=6**n) / len(window) for window in windows)
    assert jensen_shannon(x, y, n).mean() == pytest.approx(jensenshannon(p, q) ** 2)
    assert jensen_shannon(x, x[::-1], n).mean() == pytest.approx(0, abs=1e-12)
    assert jensen_shannon(x, y + 100, n).mean() == pytest.approx(math.log(2))


def _tokens(features: np.ndarray) -> np.ndarray:
    return np.clip(np.round(2 * features + 4), 0, 8).astype(int)


@pytest.mark.parametrize(
    "distance", [energy, frechet, lambda x, y: jensen_shannon(_tokens(x), _tokens(y), 2)], ids=["energy", "frechet", "divergence"]
)
def test_an_interval_is_as_wide_as_the_distance_varies(distance):
    """Over fresh samples, the reference held, where the two differ."""
    draw, values, widths = np.random.default_rng(0), [], []
    reference = draw.normal(size=(300, 4))
    for seed in range(120):
        influence = distance(draw.normal(0.5, 1.3, (200, 4)), reference)
        values.append(influence.mean())
        low, high = mean_interval(influence, 200, seed)
        widths.append(high - low)
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.std(values), rel=0.2)


def test_the_judges_scale_does_not_matter():
    draw = np.random.default_rng(0)
    x, y = draw.normal(0.2, 1, (30, 3)), draw.normal(size=(40, 3))
    scaled = standardized((x * [1, 50, 0] + 7).astype(np.float32), (y * [1, 50, 0] + 7).astype(np.float32))
    plain = standardized(x[:, :2], y[:, :2])
    assert energy(*scaled).mean() == pytest.approx(energy(*plain).mean(), rel=1e-4)
    assert frechet(*scaled).mean() == pytest.approx(frechet(*plain).mean(), rel=1e-4)
