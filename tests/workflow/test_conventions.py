"""What users of Snakemake, DVC and research code expect of a project and no other test holds: docs/conventions.md."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from checkout import ROOT, run
from imdm.params import Params
from imdm.stage.reads import of_stages

READS = of_stages(ROOT / "stages")

RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
CACHED = {"tokenize_pack", "judge", "reference", "teacher", "couple", "synthetic"}  # Snakemake: no benchmark beside a cache
CPU = {"tokenize_pack", "initialize", "synthetic", "dictionary", "chain", "merge_couplings", "merge_samples"}  # rules that want no GPU
TRAININGS = {"teacher", "judge", "scratch", "finetune", "sdtt", "di4c", "keyed", "redi", "redi_student"}
TARGETS = {"all", "paper", "register"}  # no work of their own
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
_RULE = re.compile(r"(?m)^( *)(?:use rule (\w+) as (\w+) with|rule (\w+)):\n((?:(?:\1 +\S.*)?\n)+)")


@dataclass
class Rule:
    """A rule as it is written: its directives, those of the rule that it is derived from included."""

    name: str
    directives: dict[str, str] = field(default_factory=dict)


def rules() -> dict[str, Rule]:
    found: dict[str, Rule] = {}
    for file in RULES:
        for indent, base, derived, name, body in _RULE.findall(file.read_text() + "\n"):
            parts = re.split(rf"(?m)^{indent}    (\w+):", body)
            inherited = found[base].directives if base else {}
            found[derived or name] = Rule(derived or name, inherited | dict(zip(parts[1::2], parts[2::2])))
    return found


def test_every_rule_has_log_benchmark_and_environment():
    found = rules()
    assert {"sdtt", "redi_student", "exhibit_page", *CACHED, *TARGETS} <= found.keys()
    for name, rule in found.items():
        if name not in TARGETS:
            assert {"log", "conda", "output", "shell"} <= rule.directives.keys(), name
            assert ("benchmark" in rule.directives) == (name not in CACHED), name
            assert "> {log} 2>&1" in rule.directives["shell"], name


def test_every_wildcard_is_constrained():
    text = (ROOT / "Snakefile").read_text()
    everywhere = set(re.findall(r"(?m)^    (\w+)=", text.partition("wildcard_constraints:")[2].partition("\n\n\n")[0]))
    for name, rule in rules().items():
        own = set(re.findall(r"(?m)^ +(\w+)=", rule.directives.get("wildcard_constraints", "")))
        output = re.sub(r"expand\(.*?\]\)|f\"[^\"]*\"", "", rule.directives.get("output", ""), flags=re.DOTALL)
        assert set(re.findall(r"\{(\w+)\}", output)) <= everywhere | own, name


def test_what_the_report_shows_has_caption_category_and_labels():
    texts = "".join(file.read_text() for file in RULES)
    shown = re.findall(r"report\(\s*f?\"<results>.*?(?:\}|labels=\w+)\s*,?\s*\)", texts, re.DOTALL)
    assert len(shown) == len(re.findall(r"report\(\s*f?\"<", texts)) > 5
    assert all("caption=" in item and "category=" in item and "labels=" in item for item in shown)
    captions = {path.name for path in (ROOT / "workflow/report").glob("*.rst")}
    named = set(re.findall(r"report/(\w+\.rst)", texts))
    listed = {f"{name}.rst" for name in re.findall(r'(?m)^    "(\w+)": \{"file":', texts)}  # TABLES and FIGURES
    assert captions == named | listed
    assert all(len((ROOT / "workflow/report" / name).read_text()) > 40 for name in captions)


def test_the_cluster_profile_gives_every_rule_what_it_needs():
    profile = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text())
    local = set(re.findall(r"\w+", (ROOT / "Snakefile").read_text().partition("localrules:")[2].partition("\n\n")[0])) | TARGETS
    wanted = profile["set-resources"]
    assert {name for name, asked in wanted.items() if "gres" in asked} == rules().keys() - local - CPU
    assert {name for name, asked in wanted.items() if "slurm_extra" in asked} == TRAININGS  # those that save before their time is up
    assert profile["set-threads"].keys() == TRAININGS | {"tokenize_pack"}


def test_snakefmt_is_clean():
    run(ROOT, "snakefmt", "--check", *map(str, RULES))


def test_min_version_is_that_of_the_requirements():
    asked = re.search(r'min_version\("([\d.]+)"\)', (ROOT / "Snakefile").read_text())[1]
    (snakemake,) = (item for item in PROJECT["dependencies"] if item.startswith("snakemake>="))
    assert snakemake.startswith(f"snakemake>={asked},")


def test_the_catalogue_entry():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["report"] is True and usage["software-stack-deployment"]["conda"] is True
    assert usage["mandatory-flags"].keys() == {"desc", "flags"}


def test_citation_changelog_and_licence():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"] and citation["license"] == PROJECT["license"] == "MIT"
    assert citation["references"][0]["url"].endswith("2605.10518")
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    assert re.search(r"(?m)^## ", (ROOT / "CHANGELOG.md").read_text())


@pytest.mark.skipif(not (ROOT / ".git").exists() or shutil.which("git") is None, reason="not a git checkout")
def test_dvc_files_are_in_git():
    files = ["dvc.yaml", "params.yaml", "dvc.lock", ".dvc/config"]
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", *files], capture_output=True, text=True, check=True).stdout.split()
    assert sorted(listed) == sorted(files)


def test_artifacts_are_outputs_of_stages():
    from dvc.repo import Repo

    with Repo(ROOT) as repo:
        artifacts = repo.artifacts.read()["dvc.yaml"]
        outputs = {out.def_path for stage in repo.index.stages for out in stage.outs}
    assert {"teacher", "student", "judge", "couplings"} <= artifacts.keys()
    for name, artifact in artifacts.items():
        assert artifact.path in outputs and artifact.desc and artifact.type, name


def test_ci_runs_the_tests():
    script = (ROOT / ".ci/run").read_text()
    assert script.rstrip().endswith("make test") and (ROOT / ".ci/run").stat().st_mode & 0o100
    recipe = (ROOT / "Makefile").read_text().partition("\ntest:")[2].partition("\n\n")[0]
    assert "ruff check" in recipe and "pytest" in recipe


def test_each_stage_reads_the_seeds_of_its_own_work():
    seeds = set(Params.model_fields["seeds"].annotation.model_fields)
    assert seeds == {"data", "train", "couplings", "sampling", "scoring"}
    own = {"train": ("pretrain", "finetune", "sdtt", "di4c", "redi", "train_judge"), "couplings": ("couple",)}
    own |= {"sampling": ("sample", "complete", "match_entropy"), "scoring": ("score",), "data": ("tokenize_pack",)}
    for seed, stages in own.items():
        for stage in stages:
            assert {key for key in READS[stage] if key.startswith("seeds")} == {f"seeds.{seed}"}, stage


def test_attention_is_torchs_own():
    for folder in ("src", "stages"):
        for file in Path(ROOT / folder).rglob("*.py"):
            assert not re.search(r"flash_attn|xformers", file.read_text()), file
    assert not [item for item in PROJECT["dependencies"] if "flash" in item]
