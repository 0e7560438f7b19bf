"""Lets tests import stage scripts; last on the path, since `tabulate` and others are also packages."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "stages"))
