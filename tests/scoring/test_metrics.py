"""Entropy, diversity, distances from real text, and intervals, against scipy, mauve-text, resampling and repetition."""

from __future__ import annotations

import math
import sys
from functools import partial

import numpy as np
import pytest
from scipy import linalg, stats
from scipy.spatial.distance import jensenshannon

from imdm.errors import UserError
from imdm.params import Scoring
from imdm.scoring.bootstrap import mean_interval, ratio_interval
from imdm.scoring.distances import energy, frechet, jensen_shannon, mauve, standardized
from imdm.scoring.diversity import distinct, entropy, repetition
from imdm.scoring.gen_ppl import Judged
from imdm.scoring.metrics import sample_figures, text_figures
from imdm.scoring.reference_file import Real


def test_entropy_is_scipys():
    rows = np.random.default_rng(0).integers(0, 9, (20, 30))
    expected = [stats.entropy(np.unique(row, return_counts=True)[1]) for row in rows]
    np.testing.assert_allclose(entropy(rows), expected, rtol=1e-12)
    assert entropy(np.full((1, 8), 3)) == pytest.approx([0.0], abs=1e-15)
    assert entropy(np.arange(32)[None]) == pytest.approx([math.log(32)])


def test_diversity_by_hand():
    rows = np.array([[1, 2, 1, 2, 1], [3, 4, 5, 6, 7]])  # bigrams 12 21 12 21 | 34 45 56 67
    assert distinct(rows, 2) == 6 / 8
    assert repetition(rows, 2).tolist() == [0.5, 0.0]


def test_intervals_are_scipys():
    draw = np.random.default_rng(0)
    nll, tokens = draw.gamma(20, 5, 200), draw.integers(20, 31, 200).astype(float)

    def ratio(nll, tokens, axis=-1):
        return nll.sum(axis) / tokens.sum(axis)

    expected = stats.bootstrap((nll, tokens), ratio, paired=True, vectorized=True, n_resamples=4000, method="percentile", rng=1)
    np.testing.assert_allclose(ratio_interval(nll, tokens, 4000, 0), expected.confidence_interval, rtol=0.005)
    expected = stats.bootstrap((nll,), np.mean, vectorized=True, n_resamples=4000, method="percentile", rng=1)
    np.testing.assert_allclose(mean_interval(nll, 4000, 0), expected.confidence_interval, rtol=0.005)


def test_completions_of_a_prompt_are_drawn_together():
    """Else they would count as independent: where all five agree, the interval would be sqrt(5) too narrow."""
    prompts = np.random.default_rng(0).normal(3, 1, 60)
    grouped = mean_interval(np.repeat(prompts, 5), 500, 7, group=5)
    assert grouped == pytest.approx(mean_interval(prompts, 500, 7))
    alone = mean_interval(np.repeat(prompts, 5), 500, 7)
    assert (grouped[1] - grouped[0]) / (alone[1] - alone[0]) == pytest.approx(math.sqrt(5), rel=0.15)


def test_equal_seeds_give_equal_intervals():
    values = np.random.default_rng(0).normal(size=50)
    assert mean_interval(values, 100, 3) == mean_interval(values, 100, 3) != mean_interval(values, 100, 4)


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


def test_mauve_is_the_librarys_mean_over_seeds(capfd):
    from mauve import compute_mauve

    draw = np.random.default_rng(0)
    reference, samples = (draw.normal(shift, 1, (size, 8)).astype(np.float32) for shift, size in ((0, 60), (0.5, 300)))
    mean, sd = mauve(reference, samples, 3, 5.0)
    assert capfd.readouterr().err == ""  # faiss's warning, which the library's own bucket rule provokes
    alone = [compute_mauve(p_features=reference, q_features=samples, seed=seed, mauve_scaling_factor=5.0).mauve for seed in (1, 2, 3)]
    assert mean == pytest.approx(np.mean(alone)) and sd == pytest.approx(np.std(alone, ddof=1))
    assert 0 < mean < 0.99 < mauve(reference, reference, 1, 5.0)[0]


def test_every_figure_lies_in_its_interval():
    draw = np.random.default_rng(0)
    tokens, counts = draw.integers(0, 20, (40, 12)), draw.integers(9, 12, 40)
    counts[3] = 0  # an empty document
    judged = Judged(nll=draw.gamma(30, 1, 40) * (counts > 0), tokens=counts, features=draw.normal(size=(40, 4)).astype(np.float32))
    reference = draw.normal(size=(50, 4)).astype(np.float32)
    real = Real(reference, draw.integers(0, 20, (50, 12)))
    figures = sample_figures(tokens, judged, real, Scoring(bootstrap=200, mauve_seeds=2), 0, group=5)
    distances = {"mauve", "energy", "frechet", "jsd_1", "jsd_2", "jsd_3"}
    assert set(figures) == {"gen_ppl", "gen_ppl_mean", "entropy", "distinct_4", "repetition_4"} | distances
    for value, low, high in figures.values():
        assert low - 1e-12 <= value <= high + 1e-12 and math.isfinite(value)
    assert figures["gen_ppl"][0] == pytest.approx(math.exp(judged.nll.sum() / judged.tokens.sum()))
    kept = counts > 0
    assert figures["gen_ppl_mean"][0] == pytest.approx(math.exp(np.mean(judged.nll[kept] / counts[kept])))
    assert figures.items() >= text_figures(tokens, judged, 200, 0, group=5).items()


@pytest.mark.parametrize("seeds", [0, 1])
def test_without_mauve_text_there_is_no_mauve(monkeypatch, seeds):
    monkeypatch.setitem(sys.modules, "mauve", None)
    judged = Judged(nll=np.ones(4), tokens=np.full(4, 3), features=np.eye(4, dtype=np.float32))
    score = partial(sample_figures, np.eye(4, dtype=int), judged, Real(np.eye(4, dtype=np.float32), np.eye(4, dtype=int)), seed=0)
    if seeds:
        with pytest.raises(UserError, match="scoring.mauve_seeds=0"):
            score(settings=Scoring(mauve_seeds=seeds))
    else:
        assert "mauve" not in score(settings=Scoring(mauve_seeds=seeds))
