"""A run that the tests invent, with every table, figure and page; made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

import fake_run
from imdm.results import plan
from imdm.results.frame import read_comparison


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """results/tiny; not to be changed."""
    folder = fake_run.build(tmp_path_factory.mktemp("made"))
    fake_run.add_paper(folder)
    assert fake_run.tabulate(folder) == 0 == fake_run.plot(folder)
    outputs = [f"tables/{name}.csv" for name in plan.TABLES] + [f"figures/{name}.png" for name in plan.FIGURES]
    outputs += [f"figures/{name}.html" for name in plan.PAGES]
    assert {output: fake_run.exhibit(folder, output) for output in outputs} == dict.fromkeys(outputs, 0)
    assert fake_run.report(folder) == 0
    return folder


@pytest.fixture(scope="session")
def frame(run: Path) -> pd.DataFrame:
    """Its tables.csv, and what frontier.csv adds."""
    return read_comparison(run / "tables" / "tables.csv")


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """A copy of the run, to break."""
    shutil.copytree(run.parents[1], tmp_path / "all")
    return tmp_path / "all" / "results" / "tiny"
