"""Several runs side by side: means and intervals against scipy, and docs/results.md against the committed runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from imdm.report.names import RATIO
from imdm.report.runs import by_run, mean_ratio, runs_view
from imdm.report.show import main as show
from scipy import stats

import fake_run
from checkout import ROOT
from imdm.report.rows import find, read_rows, write_rows


def test_runs_side_by_side(tmp_path, capsys):
    rows, paths = read_rows(fake_run.finished(tmp_path / "made") / "tables" / "tables.csv"), []
    for name, factor in (("a", 1.0), ("b", 1.1), ("c", 0.8)):
        paths.append(tmp_path / name / "tables" / "tables.csv")
        paths[-1].parent.mkdir(parents=True)
        write_rows(paths[-1], [replace(row, value=row.value and row.value * factor) if row.metric == RATIO else row for row in rows])
    view = runs_view(by_run(paths))
    line = view.rows[0]
    ratio = find(rows, table="4", model="imdm:mdlm/sdtt3", metric=RATIO, steps=line[1].sort).value
    assert view.columns[2:5] == ["a", "b", "c"] and line[0].text == "SDTT (3 rounds)"
    assert [cell.sort for cell in line[2:5]] == pytest.approx([ratio, 1.1 * ratio, 0.8 * ratio])
    logs = np.log([ratio, 1.1 * ratio, 0.8 * ratio])
    expected = np.exp(stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs)))
    assert mean_ratio(list(np.exp(logs))) == pytest.approx((np.exp(logs.mean()), *expected))
    assert line[6].text == f"[{expected[0]:.2f}, {expected[1]:.2f}]"
    assert {row[0].text for row in view.rows} >= {"ReDi", "ReDi, equal entropy"}
    assert show([*map(str, paths)]) == 0 and "Student's t over runs" in capsys.readouterr().out
    assert show([str(paths[0]), str(paths[0])]) == 2
    assert capsys.readouterr().err == "show: two of the tables are of runs called a; name each run once.\n"


def test_the_five_pipelines_are_those_of_the_page(capsys):
    """docs/results.md: its table has the committed runs' means and intervals, in order and bold where decided; its command prints them."""
    paths = [str(ROOT / "results" / f"seed{number}" / "tables" / "tables.csv") for number in range(5)]
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8").split("## Five times, everything anew")[1]
    lines = runs_view(by_run([Path(path) for path in paths])).rows
    table = [line for line in page.split("\n## ")[0].splitlines() if line.startswith("|")][2:]
    cells = [cell.strip() for line in table for cell in line.split("|")[2:-1]]
    assert [cell.strip("*").split(" (")[0] for cell in cells] == [f"{line[-2].text} {line[-1].text}".removesuffix(" –") for line in lines]
    assert [cell.startswith("**") for cell in cells] == [line[-1].mark in ("win", "lose") for line in lines]
    assert show(paths) == 0 and "seed4" in capsys.readouterr().out
