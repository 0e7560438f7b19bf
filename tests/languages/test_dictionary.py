"""The dictionary task: words, measurements against enumeration and known distributions, students that learn."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from imdm.errors import UserError
from imdm.languages.dictionary import cell_records, data_records
from imdm.languages.measure import coverage, factorization_errors, kl_bias, validity, word_probabilities
from imdm.languages.words import BINARY, draw_words
from imdm.params import DictionaryCell, KeyedWords, Rectify, load_params
from script import MICRO, ROOT, made

DEFAULT = load_params(ROOT / "params.yaml").dictionary


@given(st.integers(2, 40), st.integers(2, 4), st.integers(2, 5), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_words_are_different_and_found_again(count, length, letters, seed):
    words = draw_words(min(count, letters**length), length, letters, seed)
    assert len({tuple(row) for row in words.table.tolist()}) == len(words)
    everything = torch.tensor(list(itertools.product(range(letters), repeat=length)))
    found = words.index(everything)
    assert sorted(found[found >= 0].tolist()) == list(range(len(words)))
    assert torch.equal(words.table[found[found >= 0]], everything[found >= 0])
    distance = (everything[:, None] != words.table).sum(-1)
    assert torch.equal(distance.gather(1, words.nearest(everything)[:, None]).squeeze(1), distance.min(1).values)


def test_a_completion_of_the_papers_task_counts_for_its_first_letter():
    assert BINARY.nearest(torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])).tolist() == [0, 0, 1, 1]


def test_words_are_drawn_uniformly():
    counts = np.zeros(9)
    for seed in range(600):
        counts[(draw_words(3, 2, 3, seed).table @ torch.tensor([3, 1])).numpy()] += 1
    assert chisquare(counts).pvalue > 1e-4


def test_expected_distinct_words_are_those_of_an_enumeration():
    words = draw_words(3, 2, 3, 0)
    expected = np.mean([len(set(draws)) for draws in itertools.product(range(3), repeat=4)])
    assert words.expected_distinct(4) == pytest.approx(expected)


def test_samples_of_the_data_are_valid_and_cover_it():
    words = draw_words(20, 3, 5, 0)
    x = words.table[torch.randint(20, (8000,), generator=torch.Generator().manual_seed(0))]
    assert validity(x, words)[0] == 100
    value, low, high = coverage(x, words)
    assert low < 100 < high and high - low < 5
    assert coverage(words.table[:1].repeat(2000, 1), words)[0] == pytest.approx(100 / words.expected_distinct(20))


def test_errors_of_independent_letters_are_the_total_correlation():
    """At the right marginals: KL is the data's total correlation, and -ln of the words' mass by listing them."""
    words = draw_words(6, 3, 3, 1)
    p = torch.nn.functional.one_hot(words.table, 3).double().mean(0)[None].expand(10, -1, -1)
    valid = word_probabilities(p, words)
    found = factorization_errors(valid)
    (row,) = [row for row in data_records(words, [1]) if row["metric"] == "total_correlation_nats"]
    assert found["error_kl_nats"] == pytest.approx([row["value"]] * 3)
    mass = sum(math.prod(p[0, place, letter].item() for place, letter in enumerate(word)) for word in words.table.tolist())
    assert found["error_valid_mass_nats"] == pytest.approx([-math.log(mass)] * 3)
    assert kl_bias(valid) == pytest.approx(0, abs=1e-12)


def test_interval_and_bias_of_the_kl_are_those_of_repetitions():
    """Noise that chooses a word at random: P(word | noise) is 0.9 for one of K and equal for the others."""
    draw, count, draws = torch.Generator().manual_seed(0), 5, 200
    values, halves, biases = [], [], []
    for _ in range(400):
        chosen = torch.randint(count, (draws,), generator=draw)
        valid = torch.full((draws, count), 0.02, dtype=torch.float64).scatter(1, chosen[:, None], 0.9)
        value, low, high = factorization_errors(valid)["error_kl_nats"]
        values.append(value)
        halves.append((high - low) / 2)
        biases.append(kl_bias(valid))
    exact = -math.log(count * (0.9 + 4 * 0.02) / count)
    assert np.mean(values) - exact == pytest.approx(np.mean(biases), rel=0.3)
    assert np.mean(halves) >= 0  # the mass of the words is the same under all noise, so the leading term vanishes
    uneven = torch.rand(draws, count, generator=draw, dtype=torch.float64)
    shares = [uneven[torch.randint(draws, (draws,), generator=draw)] for _ in range(400)]
    spread = np.std([factorization_errors(valid)["error_kl_nats"][0] for valid in shares])
    value, low, high = factorization_errors(uneven)["error_kl_nats"]
    assert high - low == pytest.approx(2 * 1.96 * spread, rel=0.2)


def test_noise_in_the_mask_writes_words_that_one_mask_cannot():
    sizes = dict(hidden_size=32, blocks=1, teacher_steps=150, letters=6, samples=500, noise_draws=500, steps=[1])
    how = dict(steps=200, batch_size=32, lr=3e-3, levels="all")
    random, driven = Rectify(pairs=64, noise_dim=64, **how), Rectify(pairs=1000, noise_dim=8, **how)
    cell = DictionaryCell(words=2, length=3)
    keyed = KeyedWords(steps=200, batch_size=64, lr=3e-3, teacher_steps=4)
    rows = cell_records(DEFAULT.model_copy(update=sizes | {"random": random, "driven": driven, "keyed": keyed}), cell, 0)
    valid = {row["model"]: row["value"] for row in rows if row["metric"] == "validity_pct"}
    error = {row["model"]: row["value"] for row in rows if row["metric"] == "error_kl_nats"}
    floor = next(row["value"] for row in rows if row["metric"] == "total_correlation_nats")
    assert error["mdm"] >= floor - 1e-6 and error["teacher"] >= floor - 1e-6  # Theorem 4.1
    assert valid["keyed"] > 60 and "keyed" not in error
    assert valid["mdm"] < 40 and valid["imdm"] > 60 and valid["imdm-driven"] > 60
    assert error["imdm"] < floor / 2 and error["imdm-driven"] < floor / 2


def test_a_cell_varies_one_thing():
    with pytest.raises(ValueError, match="at most one"):
        DictionaryCell(words=2, length=2, pairs=8, noise_dim=4)
    cell = DictionaryCell(words=2, length=2, pairs=8)
    assert DEFAULT.of(cell).random == DEFAULT.random.model_copy(update={"pairs": 8})
    assert cell.varied == "pairs"


def test_more_words_than_there_are_is_one_sentence():
    with pytest.raises(UserError, match=r"cells\[0\].words is 99"):
        load_params(MICRO, ["dictionary.cells=[{words: 99, length: 2}]"])


@pytest.mark.slow
def test_the_stage_measures_every_model_of_its_cells(tmp_path):
    frame = pd.read_csv(made("dictionary", tmp_path / "out", sets=["dictionary.workers=1"]) / "dictionary.csv", keep_default_na=False)
    assert set(frame["model"]) == {"data", "teacher", "mdm", "imdm", "imdm-driven", "keyed"} and set(frame["varied"]) == {"", "pairs"}
