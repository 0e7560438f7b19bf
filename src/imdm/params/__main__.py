"""Writes an experiment as one whole parameter file, for DVC: `imdm params presets/lm1b.yaml --out params.yaml`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from imdm.errors import exit_code
from imdm.params import load_params, resolved_yaml
from imdm.writing import whole


def main(argv: list[str] | None = None) -> int:
    """Write the file; 0, or 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="imdm params", description=__doc__)
    parser.add_argument("files", nargs="+", help="parameter files; each holds what differs from those before it and from params.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="replace one parameter")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write, params.yaml too (default: standard output)")
    args = parser.parse_args(argv)
    return exit_code("params", lambda: write(args.files, args.set, args.out))


def write(files: list[str], sets: list[str], out: Path | None) -> None:
    """Write the experiment of files and --set to `out`, None for standard output."""
    text = resolved_yaml(load_params(files, sets))
    if out:
        with whole(out) as beside:
            beside.write_text(text, encoding="utf-8")
        if out.name == "params.yaml":
            print(f"{out} is written; now `python workflow/write_dvc.py`. Presets are read over it: `git checkout {out}` before the next.")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    sys.exit(main())
