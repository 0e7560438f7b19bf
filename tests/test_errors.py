"""What the command lines make of a user's mistakes: one sentence and exit code 2."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fake_run import build, tabulate
from fuzz.readers import checkpoint, corpus
from imdm.errors import UserError
from imdm.params.__main__ import main as params
from imdm.results.show import main as show
from script import MICRO, called, module

SRC = Path(__file__).parents[1] / "src"


def refused(main, *words: object) -> str:
    done = called(main, list(map(str, words)))
    said = done.stderr.strip().splitlines()
    assert done.returncode == 2 and len(said) == 1 and said[0].endswith(".") and "Traceback" not in said[0], done
    return said[0]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs, of which only the comparison was measured."""
    run = build(tmp_path_factory.mktemp("runs"))
    assert tabulate(run) == 0
    shutil.copytree(run / "tables", run.with_name("other") / "tables")
    return [run, run.with_name("other")]


def test_where_nothing_can_be_written(tmp_path, runs):
    (tmp_path / "folder.png").mkdir()
    assert "nowhere" in refused(params, MICRO, "--out", tmp_path / "nowhere/params.yaml")
    assert "Is a directory" in refused(params, MICRO, "--out", tmp_path)
    assert "nowhere" in refused(show, *runs, "--figure", tmp_path / "nowhere/x.png")
    assert "Is a directory" in refused(show, *runs, "--figure", tmp_path / "folder.png")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_figures_of_runs(tmp_path, runs):
    (tmp_path / "thesis.png").write_text("mine")
    assert "must end in .png or .svg" in refused(show, *runs, "--figure", tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.png").read_text() == "mine"
    assert called(show, [*map(str, runs), "--figure", str(tmp_path / "x.svg")]).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.png", "x.svg"]
    table = tmp_path / "empty/tables/tables.csv"
    table.parent.mkdir(parents=True)
    table.write_text((runs[0] / "tables/tables.csv").read_text().partition("\n")[0] + "\n")
    assert "have no ratio in common" in refused(show, runs[0], tmp_path / "empty", "--figure", tmp_path / "y.png")


@pytest.mark.parametrize(
    "words", ["--temperature nan", "--temperature inf", "--temperature 0", "--count 0", "--steps -1", "--seed 1" + "0" * 30]
)
def test_numbers_of_generate(tmp_path, words):
    refused(module("generate").main, "--model", checkpoint(tmp_path), "--data", corpus().path, *words.split())


def test_a_message_is_one_line():
    said = str(UserError(f"out was made by {'a' * 5000}\0\n, not by sample; move it away."))
    assert len(said) <= 1000 and said.startswith("out was made by aaa") and said.endswith("  , not by sample; move it away.")


def test_a_reader_that_has_enough_is_no_mistake(runs):
    command = f"{sys.executable} -m imdm.results.show {runs[0]} {runs[1]} --metric gen_ppl"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | true"], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(SRC)}
    )
    assert done.returncode == 0 and not done.stderr
