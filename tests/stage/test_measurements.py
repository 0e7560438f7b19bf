"""The stages that measure a student beside its teacher, audit and factorization, on trained networks of a few weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpora import few_words
from script import made


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """data, a teacher, its couplings, a rectified student, and samples of both."""
    run = tmp_path_factory.mktemp("run")
    data = few_words(run).path
    teacher = made("pretrain", run / "models/teacher", "--data", data) / "model.safetensors"
    start = made("initialize", run / "models/imdm/teacher", "--teacher", teacher, "--variant", "imdm") / "model.safetensors"
    couplings = made("couple", run / "couplings", "--data", data, "--teacher", teacher) / "couplings.safetensors"
    made("redi", run / "models/imdm/redi", "--couplings", couplings, "--init", start)
    for model in ("teacher", "imdm/redi"):
        made("sample", run / "samples" / model, "--model", run / "models" / model / "model.safetensors")
    return run


def test_the_audit_of_a_student_has_seen_pairs_and_its_teacher_no_noise_gap(run):
    files = {
        "--data": "data/dataset.json",
        "--model": "models/imdm/redi/model.safetensors",
        "--teacher": "models/teacher/model.safetensors",
    }
    files |= {"--samples": "samples/imdm/redi/samples.safetensors", "--baseline": "samples/teacher/samples.safetensors"}
    files |= {"--couplings": "couplings/couplings.safetensors"}
    audit = made("audit", run / "audit", *(word for flag, file in files.items() for word in (flag, run / file)))
    tree = json.loads((audit / "audit.json").read_text())
    assert (tree["model"], tree["teacher"], tree["couplings"]) == ("imdm/redi", "teacher", 16)
    values = {(row["model"], row["metric"]): row["value"] for row in tree["rows"] if row["steps"] is None}
    for kind in ("seen", "unseen"):
        assert values["teacher", f"noise_gap_{kind}"] == 0 != values["imdm/redi", f"noise_gap_{kind}"]


def test_a_teachers_factorization_error_depends_on_no_noise(run):
    teacher, student = run / "models/teacher/model.safetensors", run / "models/imdm/redi/model.safetensors"
    found = {}
    for model in (teacher, student):
        out = run / "factorization" / model.parent.name
        made("factorization", out, "--data", run / "data/dataset.json", "--model", model, "--teacher", teacher)
        found[model] = json.loads((out / "factorization.json").read_text())
    assert (found[teacher]["noise"], found[student]["noise"]) == (False, True)
    for tree in found.values():
        assert {row["steps"] for row in tree["rows"]} == {1, 2} and tree["teacher"] == "teacher"
        assert all(row["low"] <= row["value"] <= row["high"] for row in tree["rows"])


def test_redi_takes_the_settings_of_its_variant(run):
    start, couplings = run / "models/imdm/teacher/model.safetensors", run / "couplings/couplings.safetensors"
    words = ("--couplings", couplings, "--init", start, "--variant", "imdm")
    student = made("redi", run / "short", *words, sets=["variants.imdm.redi.steps=2", "variants.imdm.redi.keys=fresh"])
    read = json.loads((student / "meta.json").read_text())["parameters"]["redi"]
    assert (read["steps"], read["keys"]) == (2, "fresh")
    assert (student / "train_log.csv").read_text().splitlines()[-1].startswith("2,")
