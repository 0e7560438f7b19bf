"""Faults planted in a clone: a stage that takes too much memory once, slow trainings, a forgetful squeue."""

from __future__ import annotations

from pathlib import Path

# Run by every stage, since each imports _src first.
EAT = """
import time

_fault = Path("faults") / f"eat-{Path(sys.argv[0]).stem}"
if _fault.exists():
    _fault.unlink()
    _eaten = b"x" * 2_000_000_000
    time.sleep(120)
"""
SLOW = """
import time
from pathlib import Path

_slow, _step = Path("faults") / f"slow-{Path(sys.argv[0]).stem}", Training.forward


def _slow_step(self, step):
    time.sleep(2 if _slow.exists() else 0)
    return _step(self, step)


Training.forward = _slow_step
"""
# As squeue, but of jobs that faults/forgotten names it knows nothing.
SQUEUE = """\
#!/bin/sh
{squeue} "$@" | awk -F'|' -v OFS='|' '
    BEGIN {{while ((getline id < "faults/forgotten") > 0) gone[id]}}
    $1 in gone {{$2 = "UNKNOWN"}}
    {{print}}'
"""


def plant(project: Path, eating: str, slow: str) -> Path:
    """Let a stage eat memory at its first call, and the training of another be slow. Returns the file that slows it, to be deleted."""
    for file, code in (("stages/_src.py", EAT), ("src/imdm/training/loop.py", SLOW)):
        path = project / file
        path.write_text(path.read_text() + code)
    (project / "faults").mkdir()
    for name in (f"eat-{eating}", f"slow-{slow}", "forgotten"):
        (project / "faults" / name).touch()
    return project / f"faults/slow-{slow}"


def forgetful(folder: Path, squeue: str) -> None:
    """Put a squeue into a folder that forgets jobs."""
    folder.mkdir()
    (folder / "squeue").write_text(SQUEUE.format(squeue=squeue))
    (folder / "squeue").chmod(0o755)
