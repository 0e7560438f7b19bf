"""Several training seeds: names, jobs, and trainings that differ."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors import safe_open
from safetensors.torch import load_file

from checkout import ROOT, clone
from dag import dvc_stages, snakemake_jobs
from imdm.diffusion.counter import training_seed
from imdm.errors import UserError
from imdm.params import load_params, parse_variant
from imdm.results.names import baseline_of
from script import run as run_stage

SEEDS = ["mdlm", "imdm", "mdlm-seed1", "imdm-seed1", "mdlm-seed2", "imdm-seed2"]


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


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default experiment with three seeds."""
    target = clone(tmp_path_factory.mktemp("seeds"))
    tree = yaml.safe_load((target / "params.yaml").read_text())
    tree["compare"]["variants"] = SEEDS
    (target / "params.yaml").write_text(yaml.safe_dump(tree))
    return target


def test_the_graphs_train_every_student_once_a_seed(project):
    snakemake, dvc = snakemake_jobs(project), dvc_stages(project)
    assert set(snakemake) == set(dvc)
    assert {job["name"] for job in snakemake.values()} > {"sdtt", "couple_student"}
    expected = {"initialize": 7, "sdtt": 18, "couple": 1, "couple_student": 6, "redi": 6, "redi_student": 6, "sample": 19, "score": 19}
    expected |= {"teacher": 1, "judge": 1, "synthetic": 1, "tabulate": 1}
    counts = Counter(job["name"] for job in snakemake.values())
    assert {name: counts[name] for name in expected} == expected


def test_the_parents_of_a_replicate_are_replicates(project):
    inputs = {out: job["inputs"] for job in snakemake_jobs(project).values() for out in job["outputs"]}
    models = "results/tiny/models/imdm-seed2"
    couplings = "results/tiny/couplings/imdm-seed2/sdtt3/couplings.safetensors"
    assert inputs[f"{models}/sdtt3-redi/model.safetensors"] == {couplings, f"{models}/sdtt3/model.safetensors"}
    assert f"{models}/sdtt3/model.safetensors" in inputs[couplings]
    assert f"{models}/teacher/model.safetensors" in inputs[f"{models}/sdtt1/model.safetensors"]
    teachers = "results/tiny/couplings/teacher/couplings.safetensors"
    assert inputs[f"{models}/redi/model.safetensors"] == {teachers, f"{models}/teacher/model.safetensors"}


def test_replicates_differ_in_weights_and_the_first_is_as_it_was(tmp_path):
    def stage(name: str, *arguments: object) -> Path:
        out = tmp_path / str(arguments[-1])
        done = run_stage(name, *map(str, arguments[:-1]), "--out", out, sets=sets)
        assert done.returncode == 0, done.stderr
        return out

    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat", "and", "saw"], 3000)
    (tmp_path / "text.txt").write_text("\n\n".join(" ".join(words[i : i + 12]) for i in range(0, len(words), 12)))
    sets = ["corpus.name=files", f"corpus.path={tmp_path}/text.txt", "corpus.vocab_size=280"]
    data = stage("tokenize_pack", "data") / "dataset.json"
    teacher = stage("pretrain", "--data", data, "teacher") / "model.safetensors"
    students = {}
    for variant in ("imdm", "imdm-seed1"):
        adopted = stage("initialize", "--teacher", teacher, "--variant", variant, f"adopted-{variant}") / "model.safetensors"
        students[variant] = stage("sdtt", "--data", data, "--round", 1, "--teacher", adopted, variant) / "model.safetensors"
        with safe_open(students[variant], "pt") as file:
            assert json.loads(file.metadata()["imdm"]).get("replicate", 0) == parse_variant(variant)[1]
            assert ("replicate" in file.metadata()["imdm"]) == (variant != "imdm")
    first, second = (load_file(path) for path in students.values())
    assert first.keys() == second.keys() and any(not first[name].equal(second[name]) for name in first)
