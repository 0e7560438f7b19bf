"""Prints an experiment as one whole parameter file: `python -m imdm.params presets/lm1b.yaml > lm1b.yaml`, for DVC as params.yaml."""

from __future__ import annotations

import argparse
import sys

from imdm.errors import UserError
from imdm.params import load_params, resolved_yaml


def main(argv: list[str] | None = None) -> int:
    """Print the file; 0, or 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="python -m imdm.params", description=__doc__)
    parser.add_argument("files", nargs="+", help="parameter files; each holds what differs from those before it and from params.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="replace one parameter")
    args = parser.parse_args(argv)
    try:
        sys.stdout.write(resolved_yaml(load_params(args.files, args.set)))
    except UserError as error:
        print(f"params: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
