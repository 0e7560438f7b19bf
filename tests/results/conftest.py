"""A run that the tests invent, tabulated, with every table of its own; made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

import fake_run
from imdm.results import plan
from imdm.results.frame import read_frame


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """results/tiny with all tables; not to be changed."""
    folder = fake_run.build(tmp_path_factory.mktemp("made"))
    fake_run.add_paper(folder)
    assert fake_run.tabulate(folder) == 0
    assert {name: fake_run.exhibit(folder, f"tables/{name}.csv") for name in plan.TABLES} == dict.fromkeys(plan.TABLES, 0)
    return folder


@pytest.fixture(scope="session")
def frame(run: Path) -> pd.DataFrame:
    """Its tables.csv."""
    return read_frame(run / "tables" / "tables.csv")


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """A copy of the run, to break."""
    shutil.copytree(run.parents[1], tmp_path / "all")
    return tmp_path / "all" / "results" / "tiny"
