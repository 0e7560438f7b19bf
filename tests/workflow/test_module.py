"""The workflow as a part of another one: Snakemake's `module:`, from a folder that holds nothing of this project."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from checkout import ROOT, run
from dag import graph

# As `snakedeploy deploy-workflow` writes it, but for the place of the Snakefile; the rule beside it is the user's own.
DEPLOYED = """
configfile: "config/config.yaml"

module imdm:
    snakefile: "{snakefile}"
    config: config

use rule * from imdm as imdm_*

rule own:
    input: "results/elsewhere/params.yaml"
    output: "own.txt"
    shell: "cp {{input}} {{output}}; echo done >> {{output}}"
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / "workflow").mkdir()
    (tmp_path / "config/config.yaml").write_text("run: elsewhere\ncompare: {variants: [mdlm], recipes: [sdtt1]}\n")
    (tmp_path / "workflow/Snakefile").write_text(DEPLOYED.format(snakefile=ROOT / "Snakefile"))
    return tmp_path


def test_another_folders_workflow_has_our_jobs_with_its_own_parameters(elsewhere):
    """Every command starts a stage that is there, with the parameters of the module's config, and none is of our own default run."""
    jobs = [job for job in graph.jobs(elsewhere, "imdm_all", scripts=r"\S+/stages/") if job.stage != "synthetic"]
    assert {"tokenize_pack", "pretrain", "train_judge", "sdtt", "sample", "score", "report"} <= {job.stage for job in jobs}
    for job in jobs:
        assert (elsewhere / job.command.split()[1]).samefile(ROOT / f"stages/{job.stage}.py")
        assert job.arguments["params"] == ".snakemake/imdm.yaml"
        assert all(file.startswith(("data/", "results/elsewhere/")) for file in job.outputs)
    models = {job.out for job in jobs if job.stage in ("sdtt", "initialize")}
    assert models == {"results/elsewhere/models/mdlm/teacher", "results/elsewhere/models/mdlm/sdtt1"}


@pytest.mark.slow
def test_a_job_of_each_kind_runs_there(elsewhere):
    """A stage, the parameters' file, and a rule of the user's own, whose second command must not be lost."""
    micro = yaml.safe_load((ROOT / "tests/micro.yaml").read_text())["synthetic"]
    (elsewhere / "config/config.yaml").write_text(yaml.safe_dump({"run": "elsewhere", "synthetic": micro}))
    run(elsewhere, "snakemake", "--cores", "1", "own", "results/elsewhere/synthetic/synthetic.json")
    whole = (elsewhere / "own.txt").read_text()
    assert "\nrun: elsewhere\n" in whole and whole.endswith("done\n")
    assert (elsewhere / "results/elsewhere/synthetic/meta.json").is_file()


def test_a_mistake_in_the_modules_config_is_one_sentence(elsewhere):
    (elsewhere / "config/config.yaml").write_text("noise_dims: 64\n")
    done = subprocess.run(["snakemake", "--dry-run", "imdm_all"], cwd=elsewhere, capture_output=True, text=True)
    assert done.returncode and "noise_dims is not a parameter; did you mean noise_dim?" in done.stdout + done.stderr


def test_without_any_parameters_it_is_the_default_experiment(tmp_path):
    """Also where the Snakefile is named by --snakefile, from a folder without params.yaml."""
    text = run(tmp_path, "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--workflow-profile", "none", "--dry-run", "--quiet", "all")
    assert not re.search("Error|Exception", text)
