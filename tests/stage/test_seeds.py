"""Several training seeds: names, jobs, and trainings that differ."""

from __future__ import annotations

import json
import re

import pytest
from safetensors import safe_open
from safetensors.torch import load_file

from checkout import ROOT
from corpora import few_words
from imdm.diffusion.counter import training_seed
from imdm.errors import UserError
from imdm.params import load_params, parse_variant
from imdm.results.names import baseline_of
from script import made


@pytest.mark.parametrize(
    ("name", "parts"),
    [("imdm", ("imdm", 0)), ("imdm-s0.5-seed12", ("imdm-s0.5", 12)), ("imdm-seed0", ("imdm-seed0", 0)), ("imdm-seeds", ("imdm-seeds", 0))],
)
def test_names_of_replicates(name, parts):
    assert parse_variant(name) == parts


def test_the_baseline_has_the_same_recipe_and_seed():
    assert baseline_of("imdm-d64-seed2/sdtt3-redi") == "mdlm-seed2/sdtt3-redi" and baseline_of("imdm/redi") == "mdlm/redi"
    assert baseline_of("imdm-signs/keyed") == "teacher" and baseline_of("imdm-signs-seed2/sdtt3-keyed") == "mdlm-seed2/sdtt3"
    assert [baseline_of(model) for model in ("mdlm/redi", "mdlm-seed1/redi", "teacher")] == [None] * 3


def test_the_first_seed_is_that_of_the_parameters():
    seeds = [training_seed(7, replicate) for replicate in range(4)]
    assert seeds[0] == 7 and len(set(seeds)) == 4
    assert training_seed(8, 1) != training_seed(7, 1)


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["compare.variants=[imdm, mdlm-seed1]"], "'mdlm-seed1' without 'mdlm'"),
        (["compare.variants=[imdm, other-seed1]"], "'other-seed1' without 'other'"),
        (["compare.recipes=[other-seed1/redi]"], "variants does not declare 'other-seed1'"),
        (["variants.imdm-seed1={mask: infinite}"], "-seedN is for replicates"),
    ],
)
def test_replicates_of_nothing_are_refused(sets, words):
    with pytest.raises(UserError, match=re.escape(words)):
        load_params(ROOT / "tests/micro.yaml", sets)


def test_a_replicate_has_the_mask_of_its_variant():
    params = load_params(ROOT / "params.yaml")
    assert params.mask_settings("imdm-d64-seed3") == params.mask_settings("imdm-d64")


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
