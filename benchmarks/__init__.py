"""Speed and memory beside the algorithm of the predecessors, on the same weights and inputs: `python -m benchmarks --help`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))  # this checkout's library, as the stages do
