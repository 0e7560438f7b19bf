"""The real pipeline at micro size, from nothing: by DVC, and by Snakemake in another clone."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from checkout import clone, commit, run

SNAKEMAKE = ("snakemake", "--profile", "workflow/profiles/local", "--cores", "1")
TABLES = ("table01", "table02", "table04", "table05", "frontier", "audit", "agreement", "dictionary", "chain", "factorization", "tables")


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two clones in which the whole pipeline has run, side by side to save time."""
    commands = {"dvc": ["dvc", "repro"], "snakemake": [*SNAKEMAKE, "register"]}
    clones = {tool: clone(tmp_path_factory.mktemp(tool), "tests/micro.yaml") for tool in commands}
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda tool: run(clones[tool], *commands[tool]), commands))
    commit(clones["dvc"])
    return clones


@pytest.fixture
def by_dvc(projects: dict[str, Path]) -> Path:
    return projects["dvc"]


@pytest.fixture
def by_snakemake(projects: dict[str, Path]) -> Path:
    return projects["snakemake"]


def test_both_give_the_same_tables(by_dvc, by_snakemake):
    for name in TABLES:
        one, other = (pd.read_csv(project / f"results/micro/tables/{name}.csv") for project in (by_dvc, by_snakemake))
        assert len(one) > 0
        pd.testing.assert_frame_equal(one, other, rtol=1e-4)


def test_both_give_a_report_and_a_figure(by_dvc, by_snakemake):
    for project in (by_dvc, by_snakemake):
        page = (project / "results/micro/report.html").read_text()
        assert "<html" in page and "imdm" in page
        for name in ("figure02", "frontier"):
            assert (project / f"results/micro/figures/{name}.png").stat().st_size > 1000


def test_a_second_run_does_nothing(by_dvc, by_snakemake):
    assert "up to date" in run(by_dvc, "dvc", "repro")
    assert "Nothing to be done" in run(by_snakemake, *SNAKEMAKE, "all")


def test_dvc_registers_what_snakemake_made(by_snakemake):
    assert "up to date" in run(by_snakemake, "dvc", "status")
    text = run(by_snakemake, "dvc", "repro")
    assert "up to date" in text and "Running stage" not in text
    assert "Nothing to be done" in run(by_snakemake, *SNAKEMAKE, "register")
    # By their times alone: of small files Snakemake would look at the content, of the models of a real run it does not.
    assert "Nothing to be done" in run(by_snakemake, *SNAKEMAKE, "all", "--max-checksum-file-size", "0")


def test_an_experiment_runs_only_the_infinite_masks(by_dvc):
    before = pd.read_csv(by_dvc / "results/micro/tables/tables.csv")
    text = run(by_dvc, "dvc", "exp", "run", "-S", "noise_dim=16", "--name", "wide")
    ran = set(re.findall(r"Running stage '([^']+)'", text))
    imdm = {"adopt@imdm", "sdtt@imdm-round0", "couple_student@imdm-sdtt1", "redi@imdm", "redi_student@imdm-sdtt1"}
    imdm |= {f"{stage}@imdm-sdtt1-redi" for stage in ("sample", "score", "frontier", "factorization")} | {"audit_redi_student@imdm-sdtt1"}
    assert imdm <= ran <= imdm | {"adopt@mdlm", "adopt_keyed@imdm-signs", "tabulate", "plot", "report"}
    after = pd.read_csv(by_dvc / "results/micro/tables/tables.csv")
    # The audit looks for copies of IMDM's couplings in the samples of the teacher and in real text too.
    kept = ~(before["model"].str.contains("imdm") | before["setting"].str.contains("imdm", na=False))
    pd.testing.assert_frame_equal(before[kept], after[kept])
    assert not before.equals(after)
    assert "wide" in run(by_dvc, "dvc", "exp", "show", "--csv")
    changed = json.loads(run(by_dvc, "dvc", "metrics", "diff", "--json"))
    assert "metrics.gen_ppl.1" in changed["results/micro/scores/imdm/sdtt1-redi/scores.json"]
