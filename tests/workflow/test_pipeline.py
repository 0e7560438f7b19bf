"""The real pipeline at micro size, from nothing: by Snakemake, and in another clone by DVC."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from checkout import clone, commit, run
from dag import graph

SNAKEMAKE = ("snakemake", "--profile", "workflow/profiles/default", "--cores", "2")


@pytest.fixture(scope="module")
def by_snakemake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the comparison has run, and DVC knows of it."""
    project = clone(tmp_path_factory.mktemp("snakemake"), "tests/micro.yaml", dvc=True)
    run(project, *SNAKEMAKE, "register")
    return project


@pytest.fixture(scope="module")
def by_dvc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = clone(tmp_path_factory.mktemp("dvc"), "tests/micro.yaml", dvc=True)
    run(project, "dvc", "repro")
    commit(project)
    return project


def tables(project: Path) -> pd.DataFrame:
    return pd.read_csv(project / "results/micro/tables/tables.csv")


def are_made(project: Path, page: str, tables: tuple[str, ...], figures: tuple[str, ...]) -> None:
    """Tables have rows, figures and the page something in them."""
    results = project / "results/micro"
    for name in tables:
        assert len(pd.read_csv(results / f"tables/{name}.csv")) > 0 and (results / f"tables/{name}.tex").stat().st_size > 100
    for name in figures:
        assert (results / f"figures/{name}.png").stat().st_size > 1000
    assert "<html" in (results / f"{page}.html").read_text()


def test_every_table_figure_and_page_is_made(by_snakemake):
    assert len(tables(by_snakemake)) > 0
    are_made(by_snakemake, "report", ("table01", "table02", "table04", "table05", "frontier"), ("figure02", "frontier", "training"))


def test_a_second_run_does_nothing(by_snakemake):
    assert "Nothing to be done" in run(by_snakemake, *SNAKEMAKE, "all", "register")
    # By their times alone: of small files Snakemake would look at the content, of the models of a real run it does not.
    assert "Nothing to be done" in run(by_snakemake, *SNAKEMAKE, "all", "--max-checksum-file-size", "0")


def test_the_rules_name_every_file_that_a_stage_writes(by_snakemake):
    """Before a job Snakemake and DVC remove what they know of; what is left, without its meta.json, the stage refuses to replace."""
    for job in graph.jobs(by_snakemake, "all"):
        (meta,) = (path for path in job.outputs if path.endswith("meta.json"))
        made = json.loads((by_snakemake / meta).read_text())["outputs"]
        assert sorted([*made, Path(meta).name]) == sorted(Path(path).name for path in job.outputs), job.command


def test_the_checkout_is_clean_and_dvc_has_nothing_to_do(by_snakemake):
    assert not run(by_snakemake, "git", "status", "--short")
    assert "up to date" in run(by_snakemake, "dvc", "status")
    text = run(by_snakemake, "dvc", "repro")
    assert "up to date" in text and "Running stage" not in text
    assert not run(by_snakemake, "git", "status", "--short")


@pytest.mark.slow
def test_the_extras_lie_beside_the_comparison(by_snakemake):
    run(by_snakemake, *SNAKEMAKE, "extras")
    are_made(by_snakemake, "extras", ("copies", "pairs", "factorization"), ("factorization",))
    assert "Nothing to be done" in run(by_snakemake, *SNAKEMAKE, "all", "extras", "register")


@pytest.mark.slow
def test_dvc_makes_the_same_tables(by_dvc, by_snakemake):
    pd.testing.assert_frame_equal(tables(by_dvc), tables(by_snakemake), rtol=1e-4)
    assert "up to date" in run(by_dvc, "dvc", "repro")


@pytest.mark.slow
def test_an_experiment_runs_only_the_infinite_masks(by_dvc):
    before = tables(by_dvc)
    text = run(by_dvc, "dvc", "exp", "run", "-S", "noise_dim=16", "--name", "wide")
    ran = set(re.findall(r"Running stage '([^']+)'", text))
    imdm = {"initialize-imdm-teacher", "sdtt-imdm-sdtt1", "couple-imdm-sdtt1", "redi-imdm-sdtt1-redi"}
    imdm |= {f"{stage}-imdm-sdtt1-redi" for stage in ("sample", "score", "frontier")}
    # A variant whose weights come out the same stops DVC there.
    shown = {"tabulate", "plot", "report", "exhibit-tables-frontier", "exhibit-figures-frontier"}
    assert imdm <= ran <= imdm | {f"initialize-{name}-teacher" for name in ("mdlm", "imdm-gumbel")} | shown
    after = tables(by_dvc)
    kept = ~before["model"].str.startswith("imdm/", na=False)
    pd.testing.assert_frame_equal(before[kept], after[kept])
    assert not before.equals(after)
    assert "wide" in run(by_dvc, "dvc", "exp", "show", "--csv")
    changed = json.loads(run(by_dvc, "dvc", "metrics", "diff", "--json"))
    assert any(name.startswith("imdm_over_mdlm.") for name in changed["results/micro/report.summary.json"])
