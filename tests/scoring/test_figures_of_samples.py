"""Entropy, diversity, intervals and MAUVE, against scipy and mauve-text called directly."""

from __future__ import annotations

import math
import sys
from functools import partial

import numpy as np
import pytest
from scipy import stats

from imdm.errors import UserError
from imdm.params import Scoring
from imdm.scoring.bootstrap import mean_interval, ratio_interval
from imdm.scoring.distances import mauve
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


def test_an_interval_covers_the_truth_as_often_as_it_says():
    draw, covered = np.random.default_rng(0), 0
    for trial in range(300):
        low, high = mean_interval(draw.exponential(1.0, 100), 300, trial)
        covered += low <= 1.0 <= high
    assert 0.89 < covered / 300 < 0.98


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
