"""The rules as they are written: clean by Snakemake's and snakefmt's lint, and agreeing with profile, dvc.yaml and seeds."""

from __future__ import annotations

import re

import yaml

from checkout import ROOT, run
from imdm.params import Params
from imdm.stage.reads import of_stages

FILES = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
READS = of_stages(ROOT / "stages")
TRAININGS = {"judge", "pretrain", "finetune", "sdtt", "di4c", "keyed", "redi"}  # they save before their time is up


def rules() -> dict[str, str]:
    """The text of every rule by its name."""
    parts = re.split(r"(?m)^ *(?:use rule \w+ as|rule) (\w+)(?: with)?:$", "\n".join(file.read_text() for file in FILES))
    return dict(zip(parts[1::2], parts[2::2]))


def test_lint_is_clean():
    assert "good condition" in run(ROOT, "snakemake", "--lint")


def test_snakefmt_is_clean():
    run(ROOT, "snakefmt", "--check", *map(str, FILES))


def test_the_cluster_profile_gives_every_rule_what_it_needs():
    profile = yaml.safe_load((ROOT / "slurm/config.yaml").read_text())
    wanted = profile["set-resources"]
    assert wanted.keys() <= rules().keys() and profile["slurm-status-command"] == "squeue"
    on_gpu = {name for name, text in rules().items() if "accelerator=1" in text}
    assert {name for name, asked in wanted.items() if "gres" in asked} == on_gpu
    assert {name for name, asked in wanted.items() if "slurm_extra" in asked} == TRAININGS
    assert profile["set-threads"].keys() == TRAININGS | {"tokenize_pack"}


def test_artifacts_are_outputs_of_stages():
    from dvc.repo import Repo

    with Repo(ROOT) as repo:
        artifacts = repo.artifacts.read()["dvc.yaml"]
        outputs = {out.def_path for stage in repo.index.stages for out in stage.outs}
    assert {"teacher", "student", "judge", "couplings"} <= artifacts.keys()
    assert {artifact.path for artifact in artifacts.values()} <= outputs


def test_each_stage_reads_the_seeds_of_its_own_work():
    seeds = set(Params.model_fields["seeds"].annotation.model_fields)
    assert seeds == {"data", "train", "couplings", "sampling", "scoring"}
    own = {"train": ("pretrain", "finetune", "sdtt", "di4c", "keyed", "redi", "train_judge"), "couplings": ("couple",)}
    own |= {"sampling": ("sample", "complete", "match_entropy"), "scoring": ("score",), "data": ("tokenize_pack",)}
    for seed, stages in own.items():
        for stage in stages:
            assert {key for key in READS[stage] if key.startswith("seeds")} == {f"seeds.{seed}"}, stage
