"""The {00, 11} task: which pairs of noise and text its students are rectified on."""

from __future__ import annotations

import pytest
import torch

from imdm.params import load_params
from imdm.synthetic import students
from script import MICRO


@pytest.mark.parametrize(("name", "balanced", "even"), [("imdm", True, True), ("imdm", False, False), ("imdm-plain", True, False)])
def test_pairs_are_balanced_or_as_they_are_drawn(monkeypatch, name, balanced, even):
    task = load_params(MICRO, [f"synthetic.random.balanced={balanced}", "synthetic.random.pairs=30"]).synthetic
    teacher = students.build(task, 0, mask="single").eval()  # untrained: every token is as likely
    monkeypatch.setattr(students, "_rectified", lambda task, mask, settings, teacher, pairs, seed: pairs)
    z, x = students.train_student(task, name, teacher, seed=0)
    drawn = students._couplings(teacher, 30, "independent", 0)
    counts = x[:, 0].bincount(minlength=2).tolist()
    assert len(z) == 30 and (counts == [15, 15]) == even
    assert all(torch.equal(*pair) for pair in zip((z, x), drawn)) == (not even)
