"""What a stage says while it works."""

from __future__ import annotations

import argparse
import re
import time

import pytest

from imdm.params import load_params
from imdm.stage.job import Job
from script import MICRO


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_tells_what_is_left(terminal, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    job = Job("couple", argparse.Namespace(), load_params(MICRO), tmp_path)
    bar = job.progress(12, "row", initial=6)  # half was done before an interruption
    time.sleep(0.1)
    bar.update(3)
    bar.close()
    assert re.search(r"couple: +75%.* 9/12 \[00:\d\d<\d\d:\d\d, ", str(bar))
    assert bar.mininterval == (0.2 if terminal else 30)  # a log is not filled with bars
