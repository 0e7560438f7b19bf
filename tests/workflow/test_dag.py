"""The two graphs are one: dvc.yaml and the Snakefile, expanded for the default parameters and compared.

What makes Snakemake run a job again is tried on stub stages, which write what the real ones would and cost nothing.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from checkout import ROOT, clone, run
from dag import STUB, covers, dvc_stages, snakemake_jobs
from imdm.stage.reads import of_stages

READS = of_stages(ROOT / "stages")

JOBS = {
    "tokenize_pack": 1,
    "judge": 1,
    "reference": 1,
    "teacher": 1,
    "initialize": 2,
    "sdtt": 6,
    "couple": 1,
    "couple_student": 2,
    "redi": 2,
}
JOBS |= {
    "redi_student": 2,
    "sample_teacher": 1,
    "sample": 6,
    "score_teacher": 1,
    "score": 6,
    "frontier_teacher": 1,
    "frontier": 6,
    "synthetic": 1,
    "dictionary": 1,
    "chain": 1,
    "tabulate": 1,
    "plot": 1,
}
JOBS |= {"report": 1, "factorization_teacher": 1, "factorization": 6}
JOBS |= {"keyed": 1, "initialize": 3, "sample": 7, "score": 7, "frontier": 7}
JOBS |= {"audit_teacher": 1, "audit": 3, "audit_redi": 2, "audit_redi_student": 2}

# What the paper's exhibits add: five ablations and the finite mask, each with three SDTT rounds, couplings, rectification, samples
# and scores; two rounds of Di4C; a network from scratch and two fine-tuned ones, of which Table 12 samples one; prompts completed
# by four models; samples of one model at another's entropy; 21 exhibits of their own (10 tables, 2 figures, 9 pages).
PAPER = {
    "initialize": 6,
    "sdtt": 18,
    "couple_student": 6,
    "redi_student": 6,
    "di4c": 2,
    "scratch": 1,
    "finetune": 2,
    "sample": 8,
    "score": 8,
}
PAPER |= {
    "complete": 3,
    "complete_teacher": 1,
    "score_completions": 3,
    "score_teacher_completions": 1,
    "match_entropy": 1,
    "score_matched": 1,
}
PAPER |= {"exhibit_table": 10, "exhibit_figure": 2, "exhibit_page": 9, "paper_report": 1, "report": -1}

# Stages of what DVC leaves to Snakemake: further models and the paper's exhibits.
SNAKEMAKE_ONLY = {"complete", "match_entropy", "di4c", "finetune", "merge", "exhibit"}
BY_HAND = {"export", "preflight", "generate"}
CHOSEN = {"judge": ("train_judge", "load_judge"), "teacher": ("pretrain", "load_mdlm")}  # by judge.stage and teacher.stage


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clone(tmp_path_factory.mktemp("default"))


@pytest.fixture(scope="module")
def dvc(project: Path) -> dict[str, dict[str, object]]:
    return dvc_stages(project)


@pytest.fixture(scope="module")
def snakemake(project: Path) -> dict[str, dict[str, object]]:
    return snakemake_jobs(project)


def test_commands_are_the_same(dvc, snakemake):
    assert set(dvc) == set(snakemake)


def test_inputs_are_the_same(dvc, snakemake):
    for command, stage in dvc.items():
        files = snakemake[command]["inputs"]
        strange = [path for path in stage["inputs"] if not covers(path, files)]
        missing = [file for file in files if not any(covers(path, {file}) for path in stage["inputs"])]
        assert not strange and not missing, command


def test_outputs_are_the_same(dvc, snakemake):
    for command, stage in dvc.items():
        files = snakemake[command]["outputs"]
        assert all(covers(path, files) for path in stage["outputs"]), command
        assert all(any(covers(path, {file}) for path in stage["outputs"]) for file in files), command


def test_dvc_tracks_exactly_the_parameters_that_a_stage_reads(dvc):
    for command, stage in dvc.items():
        scripts = CHOSEN.get(stage["name"], [re.search(r"stages/(\w+)\.py", command)[1]])
        read = {key for script in scripts for key in READS[script]}
        blocks = {key for key in stage["params"] if any(other.startswith(f"{key}.") for other in read)}
        assert {key for key in read if key.split(".")[0] not in blocks} | blocks == stage["params"], stage["name"]


def test_every_stage_script_exists_and_is_used(dvc):
    used = {re.search(r"stages/(\w+)\.py", command)[1] for command in dvc}
    there = {path.stem for path in (ROOT / "stages").glob("[!_]*.py")}
    assert used | SNAKEMAKE_ONLY | BY_HAND | {name for names in CHOSEN.values() for name in names} == there
    assert set(READS) == there - {"preflight", "generate"}  # which write nothing


def test_job_counts(snakemake):
    assert Counter(job["name"] for job in snakemake.values()) == Counter(JOBS)


def test_job_counts_of_the_paper(project):
    expected = Counter(JOBS)
    expected.update(PAPER)
    assert Counter(job["name"] for job in snakemake_jobs(project, "paper").values()) == +expected


@pytest.mark.parametrize("exhibit", ["tables/table01.md", "tables/table14.csv", "figures/figure03.png", "figures/figure10.html"])
def test_an_exhibit_needs_its_own_models_alone(project, exhibit):
    jobs = snakemake_jobs(project, f"results/tiny/{exhibit}")
    models = {"/".join(path.split("/")[3:5]) for job in jobs.values() for path in job["outputs"] if "/models/" in path}
    trained = {"table01": {"mdlm", "imdm", "imdm-signs"}, "table14": {"imdm", "imdm-d64"}, "figure10": {"mdlm"}}
    trained = trained.get(Path(exhibit).stem, {"mdlm", "imdm"})
    assert {model.split("/")[0] for model in models} == trained


def test_lint_is_clean(project):
    assert "good condition" in run(project, "snakemake", "--lint")


def test_profiles_are_found_from_the_project_root():
    assert os.readlink(ROOT / "slurm") == "workflow/profiles/slurm"
    settings = yaml.safe_load((ROOT / "slurm/config.yaml").read_text())
    assert settings["slurm-status-command"] == "squeue"
    assert set(settings["set-resources"]) <= JOBS.keys() | PAPER.keys() | {"load_public"}


def test_another_parameter_file_reaches_the_commands(project):
    tree = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"run": "other"}
    tree["compare"]["also"] = ["imdm/sdtt2", "mdlm/sdtt1-redi"]
    (project / "other").mkdir()
    (project / "other/other.yaml").write_text(yaml.safe_dump(tree))
    jobs = snakemake_jobs(project, "--configfile", "other/other.yaml", "--config", "noise_dim=64")
    assert all(command.endswith(" --params other/other.yaml --set noise_dim=64") for command in jobs)
    outputs = {path for job in jobs.values() for path in job["outputs"]}
    assert {"results/other/scores/imdm/sdtt2/scores.json", "results/other/scores/mdlm/sdtt1-redi/scores.json"} <= outputs


def test_a_wrong_parameter_is_one_sentence(project):
    with pytest.raises(AssertionError, match=r"noise_dims is not a parameter; did you mean noise_dim\?"):
        run(project, "snakemake", "-n", "--config", "noise_dims=64")


def test_without_students_to_rectify_dvc_has_no_such_stage(project):
    default = (project / "params.yaml").read_text()
    tree = yaml.safe_load(default)
    tree["compare"] |= {"recipes": ["sdtt3", "redi"], "rectified": []}
    (project / "params.yaml").write_text(yaml.safe_dump(tree))
    assert set(dvc_stages(project)) == set(snakemake_jobs(project))
    (project / "params.yaml").write_text(default)


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """A small clone whose stages are stubs, before its first run."""
    project = clone(tmp_path, "tests/micro.yaml")
    jobs = snakemake_jobs(project)
    outputs = {re.search(r"--out (\S+)", command)[1]: sorted(job["outputs"]) for command, job in jobs.items()}
    (project / "outputs.json").write_text(json.dumps(outputs))
    for stage in READS:
        (project / f"stages/{stage}.py").write_text(STUB)
    return project


def test_snakemake_runs_again_what_a_parameter_touches_and_nothing_else(stubs):
    run(stubs, "snakemake", "--cores", "2", "--quiet")
    assert not snakemake_jobs(stubs)
    params = stubs / "params.yaml"
    params.write_text(params.read_text() + "\n# a comment\n")
    assert not snakemake_jobs(stubs)
    again = Counter(job["name"] for job in snakemake_jobs(stubs, "--config", "noise_dim=64").values())
    assert again.pop("sdtt") == again.pop("initialize") == again.pop("couple_student") == 1
    models = {"sample", "score", "frontier", "factorization", "audit_redi_student"}
    assert set(again) == models | {"redi_student", "tabulate", "plot", "report"}
    assert all("mdlm" not in command for command in snakemake_jobs(stubs, "--config", "noise_dim=64"))
