"""Makes the stages use the library of their own checkout, whatever is installed.

`dvc exp run --temp` and `--queue` run in a copy of the project, where an editable install would
still point to the original.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
