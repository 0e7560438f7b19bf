"""The tables of docs/results.md are those of the committed runs."""

from __future__ import annotations

import csv
import re
import sys

import numpy as np
import pytest
from scipy import stats

from checkout import ROOT

sys.path.append(str(ROOT / "docs"))
import tables  # noqa: E402

PAGE = (ROOT / "docs/results.md").read_text(encoding="utf-8")


def test_the_page_has_what_the_runs_say():
    assert set(re.findall(r"<!-- table: (\w+) -->", PAGE)) == set(tables.TABLES)
    assert tables.written(PAGE) == PAGE, "run: make docs"


def test_a_mean_ratio_is_scipys():
    """One line of five pipelines, from the files alone."""
    logs = []
    for run in tables.DOCUMENTATION:
        with open(ROOT / "results/reference" / run / "tables/tables.csv", encoding="utf-8") as file:
            lines = [line for line in csv.DictReader(file) if (line["kind"], line["metric"], line["steps"]) == ("samples", "gen_ppl", "2")]
        ppl = {line["model"]: float(line["value"]) for line in lines}
        logs.append(np.log(ppl["imdm/redi"] / ppl["mdlm/redi"]))
    low, high = np.exp(stats.t.interval(0.95, len(logs) - 1, np.mean(logs), stats.sem(logs)))
    line = next(line for line in tables.table("documentation").splitlines() if line.startswith("| IMDM / MDLM, ReDi "))
    mean, *ends = map(float, re.findall(r"[\d.]+", line.split("|")[3]))
    assert [mean, *ends] == pytest.approx([np.exp(np.mean(logs)), low, high], abs=0.0051)
    assert line.split("|")[3].strip().startswith("**") == (high < 1 or low > 1)
