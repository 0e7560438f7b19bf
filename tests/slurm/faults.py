"""Faults planted in a clone of the project: stages that fail once, and trainings that are slow while the test wants them so."""

from __future__ import annotations

from pathlib import Path

# Run by every stage, since each imports _src first.
FAIL = """
_fault = Path("faults") / f"fail-{Path(sys.argv[0]).stem}"
if _fault.exists():
    _fault.unlink()
    sys.exit("a fault of the test")
"""
SLOW = """
import time
from pathlib import Path

_slow, _step = Path("faults") / f"slow-{Path(sys.argv[0]).stem}", Training.forward


def _slow_step(self, step):
    time.sleep(1 if _slow.exists() else 0)
    return _step(self, step)


Training.forward = _slow_step
"""


def plant(project: Path, failing: str, slow: str) -> Path:
    """Let a stage fail at its first call, and the training of another be slow. Returns the file that slows it, to be deleted."""
    for file, code in (("stages/_src.py", FAIL), ("src/imdm/training/loop.py", SLOW)):
        path = project / file
        path.write_text(path.read_text() + code)
    (project / "faults").mkdir()
    for name in (f"fail-{failing}", f"slow-{slow}"):
        (project / "faults" / name).touch()
    return project / f"faults/slow-{slow}"
