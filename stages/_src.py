"""What every stage does first: use the library of its own checkout, whatever is installed, and import quickly.

`dvc exp run --temp` and `--queue` run in a copy of the project, where an editable install would
still point to the original. This folder goes last, since `tabulate` and others are also packages; it stays
for the processes that a stage starts, which import the stage's script again.
"""

import gc
import importlib.util
import sys
from pathlib import Path

# Imports make several hundred thousand objects that stay, which Python's own 700 looks through again and again: a quarter of the
# time that torch and transformers take.
gc.set_threshold(10_000)

_HERE = Path(__file__).resolve().parent
sys.path[:] = [str(_HERE.parent / "src"), *(entry for entry in sys.path if Path(entry).resolve() != _HERE), str(_HERE)]

if importlib.util.find_spec("torch") is None or importlib.util.find_spec("pydantic") is None:
    remedy = "run `source .venv/bin/activate` (made by `make run`), then again."
    print(f"{sys.executable} lacks this project's packages; {remedy}", file=sys.stderr)
    raise SystemExit(2)
