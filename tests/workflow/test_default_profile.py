"""The default profile and its logger: what a person reads of a workflow that works, of one that fails, and of a dry run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from checkout import ROOT

SNAKEFILE = """
rule all:
    input: "made/one/out.txt", "made/two/out.txt"

rule good:
    output: "made/one/out.txt"
    shell: "touch {output}"

rule bad:
    output: "made/two/out.txt"
    log: "bad.log"
    shell: "echo 'bad: there is no corpus; name one.' > {log}; test -e fixed && touch {output} || exit 2"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "profiles").symlink_to(ROOT / "workflow/profiles")  # as at the project's own root
    return tmp_path


def snakemake(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    paths = f"{ROOT / 'workflow/logger'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    command = ["snakemake", "--cores", "1", *words]
    return subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True)


def test_the_project_has_it_where_snakemake_looks():
    assert (ROOT / "profiles/default/config.yaml").samefile(ROOT / "workflow/profiles/default/config.yaml")


def test_a_stages_mistake_is_its_own_sentence(folder):
    done = snakemake(folder)
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "[  1 of 3] good" in said
    assert "FAILED: bad" in said and "(bad.log)\n  bad: there is no corpus; name one.\n" in said
    assert "CalledProcessError" not in said and "Traceback" not in said and "exit 2" not in said
    assert len(said.splitlines()) <= 10, said


def test_what_is_done_is_said(folder):
    (folder / "fixed").touch()
    assert "[  3 of 3] all" in snakemake(folder).stderr
    assert "Nothing to be done" in snakemake(folder).stderr


def test_a_dry_run_shows_what_snakemake_shows(folder):
    with_profile, plain = (snakemake(folder, "-n", *words) for words in ((), ("--workflow-profile=none", "--rerun-triggers", "mtime")))
    assert "rule bad:" in with_profile.stderr + with_profile.stdout and "job      count" in with_profile.stderr + with_profile.stdout
    rules = [line for line in (plain.stderr + plain.stdout).splitlines() if line.startswith(("rule", "localrule"))]
    assert rules == [line for line in (with_profile.stderr + with_profile.stdout).splitlines() if line.startswith(("rule", "localrule"))]


def test_what_could_not_be_submitted_says_why(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "workflow/logger"))
    from snakemake_logger_plugin_progress import LogHandler

    shown: list[str] = []
    handler = SimpleNamespace(names={1: ("pretrain", "models/teacher")}, live=None, show=shown.append)
    refused = "SLURM sbatch failed. The error message was 'sbatch: error: invalid partition specified: cpu'.\n    sbatch call:"
    LogHandler.fail(handler, SimpleNamespace(jobid=1, rule_name="pretrain", log=["logs/none.log"], rule_msg=refused))
    assert shown == [f"FAILED: pretrain models/teacher (no log)\n  {refused.splitlines()[0]}"]
