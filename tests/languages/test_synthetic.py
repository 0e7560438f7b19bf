"""The {00, 11} task: its figures against what is known of them, and which pairs of noise and text its students are rectified on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from imdm import synthetic
from imdm.params import load_params
from imdm.synthetic import factorization_errors, sample_figures, seed_records, text_probabilities
from script import MICRO

LN2 = math.log(2)


def test_independent_tokens_err_by_ln_2_in_both_readings():
    valid = text_probabilities(torch.full((10, 2, 2), 0.5, dtype=torch.float64))
    assert valid.tolist() == [[0.25, 0.25]] * 10
    for figure in factorization_errors(valid).values():
        assert figure == pytest.approx([LN2] * 3)


def test_validity_and_entropy_of_samples():
    figures = sample_figures(torch.tensor([[0, 0], [1, 1], [0, 1], [1, 1]]))
    value, low, high = figures["validity_pct"]
    assert value == 75 and low < 75 < high
    assert figures["token_entropy_nats"][0] == pytest.approx(-3 / 8 * math.log(3 / 8) - 5 / 8 * math.log(5 / 8))


def test_the_interval_of_the_kl_is_that_of_repetitions():
    draw, draws = torch.Generator().manual_seed(0), 200
    uneven = torch.rand(draws, 5, generator=draw, dtype=torch.float64)
    shares = [uneven[torch.randint(draws, (draws,), generator=draw)] for _ in range(400)]
    spread = np.std([factorization_errors(valid)["error_kl_nats"][0] for valid in shares])
    _, low, high = factorization_errors(uneven)["error_kl_nats"]
    assert high - low == pytest.approx(2 * 1.96 * spread, rel=0.2)


def test_noise_in_the_mask_writes_texts_that_one_mask_cannot():
    task = load_params(MICRO).synthetic
    how = {"steps": 150, "batch_size": 64, "lr": 3e-3}
    random = task.random.model_copy(update=how | {"pairs": 64, "noise_dim": 64})
    driven = task.driven.model_copy(update=how | {"pairs": 600, "noise_dim": 8})
    sizes = {"hidden_size": 32, "teacher_steps": 60, "samples": 500, "noise_draws": 500, "random": random, "driven": driven}
    rows = [row for row in seed_records(task.model_copy(update=sizes), 0) if row["table"] == 1]
    valid = {row["model"]: row["value"] for row in rows if row["metric"] == "validity_pct"}
    assert 40 < valid["mdm"] < 60 and 40 < valid["random"] < 60 and valid["imdm"] > 75 and valid["imdm-driven"] > 75


@pytest.mark.parametrize(("name", "balanced", "even"), [("imdm", True, True), ("imdm", False, False), ("imdm-plain", True, False)])
def test_pairs_are_balanced_or_as_they_are_drawn(monkeypatch, name, balanced, even):
    task = load_params(MICRO, [f"synthetic.random.balanced={balanced}", "synthetic.random.pairs=30"]).synthetic
    teacher, made = synthetic.build(task, 0, mask="single").eval(), []  # untrained: every token is as likely
    choose = synthetic.student_couplings
    monkeypatch.setattr(synthetic, "student_couplings", lambda *how: made.append(choose(*how)) or made[0])
    synthetic.train_student(task, name, teacher, seed=0)
    (z, x), drawn = made[0], choose(teacher, "independent", False, task.random, 0)
    assert len(z) == 30 and (x[:, 0].bincount(minlength=2).tolist() == [15, 15]) == even
    assert all(torch.equal(*pair) for pair in zip((z, x), drawn)) == (not even)
