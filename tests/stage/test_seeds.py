"""Several training seeds: which belong together, and trainings that differ."""

from __future__ import annotations

import json

from safetensors import safe_open
from safetensors.torch import load_file

from corpora import few_words
from imdm.diffusion.counter import training_seed
from imdm.params import parse_variant
from imdm.results.names import baseline_of
from script import made


def test_the_baseline_has_the_same_recipe_and_seed():
    assert baseline_of("imdm-d64-seed2/sdtt3-redi") == "mdlm-seed2/sdtt3-redi" and baseline_of("imdm/redi") == "mdlm/redi"
    assert baseline_of("imdm-signs/keyed") == "teacher" and baseline_of("imdm-signs-seed2/sdtt3-keyed") == "mdlm-seed2/sdtt3"
    assert [baseline_of(model) for model in ("mdlm/redi", "mdlm-seed1/redi", "teacher")] == [None] * 3


def test_the_first_seed_is_that_of_the_parameters():
    seeds = [training_seed(7, replicate) for replicate in range(4)]
    assert seeds[0] == 7 and len(set(seeds)) == 4
    assert training_seed(8, 1) != training_seed(7, 1)


def test_replicates_differ_in_weights_and_the_first_is_as_it_was(tmp_path):
    data = few_words(tmp_path).path
    teacher = made("pretrain", tmp_path / "teacher", "--data", data) / "model.safetensors"
    students = {}
    for variant in ("imdm", "imdm-seed1"):
        start = made("initialize", tmp_path / f"{variant}-start", "--teacher", teacher, "--variant", variant) / "model.safetensors"
        student = made("sdtt", tmp_path / variant, "--data", data, "--round", 1, "--teacher", start) / "model.safetensors"
        students[variant] = load_file(student)
        with safe_open(student, "pt") as file:
            assert json.loads(file.metadata()["imdm"]).get("replicate", 0) == parse_variant(variant)[1]
            assert ("replicate" in file.metadata()["imdm"]) == (variant != "imdm")
    first, second = students.values()
    assert first.keys() == second.keys() and any(not first[name].equal(second[name]) for name in first)
