"""The command `imdm`: a run's tables, a model that writes, and every stage by its name."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from pathlib import Path

_TOOLS = {
    "show": "print a run's main table, or several runs side by side",
    "params": "write several parameter files as one params.yaml",
    "write": "let a model write in the terminal",
    "play": "let two models write side by side, on a page of this machine",
    "keep": "keep some models of a run in a small folder",
    "preflight": "say what an experiment needs and how long it takes, before it starts",
    "export": "write a model as a folder that transformers loads",
    "stage": "run one stage: imdm stage NAME",
}
_SCRIPTS = {"write": "generate", "preflight": "preflight", "export": "export"}


def main(argv: list[str] | None = None) -> int:
    """Run one of the tools; what follows its name is the tool's. Returns its exit code, 2 for a user's mistake."""
    words = sys.argv[1:] if argv is None else argv
    lines = [f"  {name:<10} {about}" for name, about in _TOOLS.items()]
    parser = argparse.ArgumentParser(
        prog="imdm", description=__doc__, epilog="\n".join(lines), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tool", choices=_TOOLS, help="what to do; `imdm TOOL --help` says more", metavar="TOOL")
    tool, rest = parser.parse_args(words[:1]).tool, words[1:]
    if tool not in ("stage", *_SCRIPTS):
        if tool == "show":
            from imdm.results.show import main as run
        elif tool == "params":
            from imdm.params.__main__ import main as run
        elif tool == "play":
            from imdm.play.server import main as run
        else:
            from imdm.play.keep import main as run
        return run(rest)
    folder = _stages()
    if tool == "stage":
        names = sorted(path.stem for path in folder.glob("[a-z]*.py"))
        if not rest or rest[0] not in names:
            near = difflib.get_close_matches(rest[0], names, 1) if rest else []
            parser.error(f"there is no stage {rest[0]!r}; did you mean {near[0]}?" if near else f"name a stage: {', '.join(names)}")
        name, *rest = rest
    else:
        name = _SCRIPTS[tool]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, str(folder / f"{name}.py"), *rest])  # so that a signal reaches the stage itself


def _stages() -> Path:
    """The stages' folder: of the checkout that this file lies in, of the current folder, or of the installed package."""
    for project in (Path(__file__).resolve().parents[2], Path.cwd()):
        if (project / "Snakefile").is_file():
            return project / "stages"
    return Path(__file__).with_name("_stages")
