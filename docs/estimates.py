"""Print the estimates of docs/presets.md again: `python docs/estimates.py`, part of `make docs`.

What follows a command of stages/preflight.py in a fence becomes the table that the command prints; tests/params/test_presets.py
compares the two.
"""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "workflow")]

from graph import jobs  # noqa: E402

from imdm.cost.estimate import (  # noqa: E402
    Machine,
    estimate,
    table,  # noqa: E402
)
from imdm.params import load_params  # noqa: E402
from imdm.stage.gpus import find_gpu  # noqa: E402
from imdm.stage.reads import of_stages  # noqa: E402

PRINTED = re.compile(r"(?m)^(\$ python stages/preflight\.py --params (\S+) --gpu (\S+) --gpus (\d+)\n\n)((?:.*\n)*?)```$")


planned = functools.cache(lambda preset: jobs(ROOT, "paper", "--configfile", preset))


def estimated(preset: str, gpu: str, gpus: int) -> str:
    """The table of `snakemake paper`, as of an experiment of which nothing exists yet."""
    machine, reads = Machine.of(find_gpu(gpu)), of_stages(ROOT / "stages")
    return table(estimate(load_params(ROOT / preset), planned(preset), reads, machine, ROOT / "nowhere"), machine, gpus)


if __name__ == "__main__":
    page = ROOT / "docs/presets.md"
    text = PRINTED.sub(lambda match: f"{match[1]}{estimated(match[2], match[3], int(match[4]))}\n```", page.read_text(encoding="utf-8"))
    page.write_text(text, encoding="utf-8")
