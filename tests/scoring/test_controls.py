"""Controls: what each is made of, that they are cheap, and their figures from the stage."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

import judges
from corpora import write_dataset
from imdm.data.blocks import Dataset
from imdm.scoring.controls import HELD_OUT, NGRAM, PERIODIC, SHUFFLED, make_controls, ngram_text, periodic_text, reference_blocks
from script import made


def test_a_bigram_model_has_the_bigrams_of_its_text():
    """Each token is followed by what follows it in training, as often: chi-squared of the transitions."""
    draw = np.random.default_rng(0)
    train = draw.choice([1, 2, 3, 4], p=[0.5, 0.2, 0.2, 0.1], size=(200, 12))
    train[:, 1::3] = train[:, ::3]  # so that neighbours depend on each other
    counts = Counter(pair for row in train for pair in pairwise(row[:-1].tolist()))
    texts = ngram_text(train, 4000, 2, draw)[:, :-1]  # the last token is that of the blocks
    drawn = Counter(pair for row in texts for pair in pairwise(row.tolist()))
    for first in range(1, 5):
        seen, expected = (np.array([c[first, second] for second in range(1, 5)], float) for c in (drawn, counts))
        assert stats.chisquare(seen, expected / expected.sum() * seen.sum()).pvalue > 1e-4


def test_a_five_gram_model_writes_five_grams_of_the_text_and_no_block():
    train = np.random.default_rng(0).integers(1, 4, (400, 20))
    train[:, 0] = train[:, -1] = 0
    texts = ngram_text(train, 200, 5, np.random.default_rng(1))
    grams = {tuple(row[j : j + 5]) for row in train.tolist() for j in range(16)}
    own = {tuple(row[j : j + 5]) for row in texts.tolist() for j in range(15)}
    assert own <= grams and (texts[:, 0] == 0).all() and (texts[:, -1] == 0).all()
    blocks = {tuple(row) for row in train.tolist()}
    assert sum(tuple(row) in blocks for row in texts.tolist()) < 20 and len(np.unique(texts, axis=0)) > 150


def test_where_a_text_ends_in_training_fewer_tokens_are_looked_at():
    """After 1 comes 1 or 2; after 2 nothing is known, so that any token that follows another may come."""
    texts = ngram_text(np.array([[9, 1, 1, 2, 0]]), 200, 2, np.random.default_rng(0))
    assert {tuple(row) for row in texts.tolist()} == {(9, 1, a, b, 0) for a in (1, 2) for b in (1, 2)}


def test_the_periodic_sampler_repeats_the_most_frequent_tokens():
    counts = np.array([0.0, 5, 9, 1, 7])
    assert periodic_text(counts, 3, np.array([8, 0, 0, 0, 0, 0, 0, 8])).tolist() == [8, 2, 4, 1, 2, 4, 1, 8]


def test_controls_are_blocks_of_the_corpus(tmp_path):
    splits = {name: judges.packed(40, seed) for seed, name in enumerate(("train", "judge", "valid", "test"))}
    data = write_dataset(tmp_path, judges.tokenizer(), splits)
    controls = make_controls(data, "test", 30, 7)
    assert list(controls) == [HELD_OUT, SHUFFLED, NGRAM, PERIODIC]
    for texts in controls.values():
        assert texts.shape == (30, judges.LENGTH) and texts.dtype == np.int32 and texts[:, [0, -1]].tolist() == [[0, 0]] * 30
    reference, real = reference_blocks(data, "test", 30, 7), controls[HELD_OUT]
    rest = sorted(data.split("test").tolist())
    for row in reference.tolist():
        rest.remove(row)
    assert sorted(real[:10].tolist()) == rest and {*map(tuple, real[10:].tolist())} <= {*map(tuple, data.split("valid").tolist())}
    assert np.array_equal(np.sort(controls[SHUFFLED], 1), np.sort(real, 1)) and not np.array_equal(controls[SHUFFLED], real)
    assert np.ptp(controls[PERIODIC], axis=0).max() == 0
    assert all(np.array_equal(texts, again) for texts, again in zip(controls.values(), make_controls(data, "test", 30, 7).values()))


def test_without_more_held_out_text_there_is_no_such_control(tmp_path):
    splits = {"train": judges.packed(20), "judge": judges.packed(9)[:0], "valid": judges.packed(9)[:0], "test": judges.packed(9)}
    data = write_dataset(tmp_path, judges.tokenizer(), splits)
    controls = make_controls(data, "test", 16, 0)
    assert list(controls) == [SHUFFLED, NGRAM, PERIODIC] and len(controls[SHUFFLED]) == 9


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """controls.json of the stage, with a judge of random weights."""
    run = tmp_path_factory.mktemp("controls")
    dataset, judge = judges.make_dataset(run / "data"), judges.make_judge(run / "judge")
    reference = made("reference", run / "reference", "--data", dataset, "--judge", judge)
    arguments = ("--data", dataset, "--judge", judge, "--reference", reference / "reference.json")
    return Dataset.open(dataset), json.loads((made("controls", run / "controls", *arguments) / "controls.json").read_text())


def test_the_stage_scores_them_as_samples(scored):
    _, tree = scored
    found = {(row["model"], row["metric"]): row for row in tree["rows"]}
    metrics = {"gen_ppl", "entropy", "mauve", "energy", "frechet", "jsd_1", "jsd_2", "jsd_3", "repetition_4"}
    for name in (HELD_OUT, SHUFFLED, NGRAM, PERIODIC):
        assert metrics <= {metric for model, metric in found if model == name}
        for row in (found[name, metric] for metric in metrics):
            assert row["steps"] is None and row["low"] - 1e-9 <= row["value"] <= row["high"] + 1e-9
    assert found[HELD_OUT, "entropy"]["value"] == found[SHUFFLED, "entropy"]["value"]
    assert found[HELD_OUT, "jsd_2"]["value"] < found[NGRAM, "jsd_2"]["high"] < found[SHUFFLED, "jsd_2"]["value"]
    assert found[PERIODIC, "frechet"]["value"] > found[HELD_OUT, "frechet"]["value"]
    assert set(tree["texts"]) == {HELD_OUT, SHUFFLED, NGRAM, PERIODIC}
