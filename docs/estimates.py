"""Print the estimates of docs/presets.md and docs/scaling.md again: `python docs/estimates.py`, part of `make docs`.

What follows a command of stages/preflight.py in a fence becomes the table that the command prints; tests/params/test_presets.py
compares the two.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from imdm.cost.machines import Machine  # noqa: E402
from imdm.cost.scaling import plans  # noqa: E402

from imdm.cost.estimate import estimate  # noqa: E402
from imdm.cost.table import scaling_table, table  # noqa: E402
from imdm.params import load_params  # noqa: E402
from imdm.stage.gpus import find_gpu  # noqa: E402

_NOWHERE = ROOT / "nowhere"  # an experiment of which nothing exists yet
_PRINTED = re.compile(r"(?m)^(\$ python stages/preflight\.py --params (\S+) --gpu (\S+) --(gpus|scaling) ([\d ]+)\n\n)(?:.*\n)*?```$")


def _again(match: re.Match[str]) -> str:
    params, machine = load_params(ROOT / match[2]), Machine.of(find_gpu(match[3]))
    counts = [int(count) for count in match[5].split()]
    if match[4] == "scaling":
        text = scaling_table([plan for count in counts for plan in plans(params, "paper", machine, _NOWHERE, count)], machine)
    else:
        text = table(estimate(params, "paper", machine, _NOWHERE), machine, *counts)
    return f"{match[1]}{text}\n```"


for page in ("docs/presets.md", "docs/scaling.md"):
    before = (ROOT / page).read_text(encoding="utf-8")
    (ROOT / page).write_text(_PRINTED.sub(_again, before), encoding="utf-8")
