"""The rules as they are written: clean by Snakemake's and snakefmt's lint, and agreeing with profile, dvc.yaml and seeds."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from checkout import ROOT, run, snakemake
from dag import graph
from imdm.cost.request import Requests
from imdm.params import Params, load_params, resolved_yaml
from imdm.stage.reads import of_stages

FILES = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
READS = of_stages(ROOT / "stages")


def test_lint_is_clean():
    assert "good condition" in run(ROOT, "snakemake", "--workflow-profile=none", "--lint")


def test_snakefmt_is_clean():
    run(ROOT, "snakefmt", "--check", *map(str, FILES))


SMALLER = ("sdtt.rounds=2", "compare.variants=[mdlm]", "compare.recipes=[sdtt2-redi,sdtt2-di4c1,finetune]", "paper.student=mdlm/sdtt2-redi")


def dry_run(*sets: str) -> dict[str, tuple[str, dict[str, str]]]:
    """Command and resources of every job of the paper by its first output, as the Slurm profile has them."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "params.yaml"
        file.write_text(resolved_yaml(load_params(ROOT / "presets/owt-860m.yaml", [*sets, *SMALLER])))
        words = ("--dry-run", "--forceall", "--nolock", "--nocolor", "--profile", "slurm", "--workflow-profile=none")
        text = run(ROOT, "snakemake", "paper", "extras", *words, "--configfile", str(file))
    jobs = {}
    for block in re.split(r"(?m)^\[.*\]\n(?=(?:local)?rule )", text)[1:]:
        lines = dict(re.findall(r"(?m)^ *(output|resources|Shell command): (.*)$", block))
        if "stages/" in lines.get("Shell command", ""):
            jobs[lines["output"].split(", ")[0]] = (
                lines["Shell command"].removeprefix("exec "),
                dict(re.findall(r"(\w+)=(.*?)(?:, |$)", lines["resources"])),
            )
    return jobs


def test_the_profile_names_the_site_alone():
    text = (ROOT / "slurm/config.yaml").read_text()
    profile = yaml.safe_load(text)
    assert not profile.keys() & {"set-resources", "set-threads"} and profile["slurm-status-command"] == "squeue"
    assert {"slurm_partition", "gpu_partition", "gpu_type", "longest"} == profile["default-resources"].keys()
    assert len(text.splitlines()) <= 32


@pytest.mark.parametrize("wrong, said", [("gpu_partion=gpu", "did you mean gpu_partition"), ("longest=2h", "whole minutes")])
def test_a_misspelt_site_is_refused(wrong, said):
    words = ("--dry-run", "--nolock", "--profile", "slurm", "--workflow-profile=none", "--default-resources", "gpu_partition=gpu", wrong)
    done = snakemake(ROOT, "all", *words)
    assert done.returncode == 1 and said in done.stdout


def test_every_job_asks_for_what_its_command_costs():
    """Snakemake asks before the command is there; by the command itself it must be the same."""
    requests = Requests(load_params(ROOT / "presets/owt-860m.yaml", ["runtime.gpus=8", *SMALLER]), READS, ROOT)
    jobs, rules = dry_run("runtime.gpus=8"), set()
    for command, resources in jobs.values():
        words = re.sub(r" --params \S+| > .*", "", command).split()
        arguments = {flag.removeprefix("--"): value for flag, value in zip(words[2:], words[3:]) if flag.startswith("--")}
        job = requests.by(requests.costs.of(SimpleNamespace(stage=Path(words[1]).stem, out=arguments["out"], arguments=arguments)))
        assert resources["mem_mb"] == str(job.mem_mb) and resources["cpus_per_task"] == str(job.cpus), command
        assert resources["runtime"] == str(min(job.minutes, 1440)) and resources.get("gres", "gpu:0") == f"gpu:{job.gpus}", command
        assert resources["slurm_partition"] == ("gpu" if job.gpus else "cpu") and resources.get("accelerator", "0") == str(job.gpus)
        assert ("--signal=TERM@300" in resources.get("slurm_extra", "")) == job.training and "mpi" not in resources
        rules.add(Path(words[1]).stem)
    assert {"sdtt", "di4c", "redi", "couple", "sample", "complete", "score", "frontier", "audit", "factorization", "load_mdlm"} < rules


def test_trainings_on_several_nodes_are_started_by_slurm():
    jobs = dry_run("runtime.gpus=8", "runtime.nodes=2")
    command, resources = jobs["results/owt-860m/models/mdlm/sdtt1/model.safetensors"]
    asked = {"mpi": "srun", "nodes": "2", "tasks": "16", "tasks_per_gpu": "0", "gres": "gpu:8", "cpus_per_task": "4"}
    assert resources.items() >= asked.items() and resources["slurm_extra"].endswith("--ntasks-per-node=8")
    assert command.startswith("srun --nodes=2 --ntasks-per-node=8 --cpus-per-task=4 --kill-on-bad-exit=1 --wait=0 python stages/sdtt.py ")
    others = {output: resources for output, (command, resources) in jobs.items() if not command.startswith("srun")}
    assert "results/owt-860m/models/mdlm/teacher/model.safetensors" in others
    assert not any({"mpi", "nodes", "tasks"} & resources.keys() for resources in others.values())


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


def test_a_plan_is_tried_once_more(monkeypatch):
    """A stage that ends while Snakemake plans moves the files that it looks at."""
    plan = "[now]\nrule couple:\n    output: a.json\nShell command: exec python stages/couple.py --out a > log 2>&1\n"
    for answers, planned in (([1, 0], 1), ([1, 1, 0], None)):
        told = iter(answers)
        monkeypatch.setattr(graph, "snakemake", lambda *_, told=told: subprocess.CompletedProcess([], next(told), plan))
        if planned:
            assert [job.out for job in graph.jobs(ROOT)] == ["a"]
        else:
            with pytest.raises(RuntimeError):
                graph.jobs(ROOT)
