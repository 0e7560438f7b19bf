"""Measure the product beside the algorithm of its predecessors, on the same weights and inputs.

Examples: python -m benchmarks --scale quick --out benchmarks/out/quick.json
          python -m benchmarks --case couple --case sdtt --rounds 5
          python -m benchmarks --page benchmarks/out/quick.json benchmarks/out/small.json
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from pathlib import Path

from benchmarks import ROOT

STARTUP, PACKING, SCORING = "startup", "packing", "scoring"
OTHERS = (PACKING, SCORING, STARTUP)  # cases with tables of their own


def arguments(words: list[str]) -> argparse.Namespace:
    from benchmarks.cases import CASES
    from benchmarks.scales import SCALES

    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", choices=SCALES, default="quick", help="sizes; toy is for tests (default: quick)")
    parser.add_argument("--case", action="append", choices=[*CASES, *OTHERS], help="only this one; may be repeated (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side is run (default: 3); startup once, unless it is named")
    parser.add_argument("--threads", type=int, default=0, help="of each process (default: 0, torch's own choice)")
    parser.add_argument("--whole", action="store_true", help="run all steps of the predecessors' samplers, at quick and small for hours")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    parser.add_argument("--page", nargs="+", type=Path, metavar="JSON", help="write the tables of these results to docs/performance.md")
    args = parser.parse_args(words)
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    return args


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(words: list[str]) -> None:
    args = arguments(words)
    from benchmarks.tables import sections, write_page

    if args.page:
        write_page(ROOT / "docs" / "performance.md", [json.loads(path.read_text(encoding="utf-8")) for path in args.page])
        return
    from benchmarks import packing, scoring
    from benchmarks.cases import CASES
    from benchmarks.measure import machine, measure
    from benchmarks.scales import SCALES
    from benchmarks.startup import measure_startup

    start, names = time.monotonic(), args.case or [*CASES, *OTHERS]
    command = shlex.join(["python", "-m", "benchmarks", *words])
    result = {
        "scale": args.scale,
        "rounds": args.rounds,
        "command": command,
        "machine": machine(args.threads),
        "cases": {},
        "text": [],
        "startup": [],
    }
    for name in names:
        if name == STARTUP:
            result["startup"] = measure_startup(args.rounds if args.case else 1, log)
        elif name == PACKING:
            result["text"] += packing.measure(rounds=args.rounds)
        elif name == SCORING:
            result["text"] += scoring.measure(args.scale, rounds=args.rounds)
        else:
            case = CASES[name]
            sides = measure(name, list(case.sides), args.scale, args.rounds, args.whole, args.threads, log)
            result["cases"][name] = {"title": case.title, "setting": case.setting(SCALES[args.scale]), "sides": sides}
        result["minutes"] = round((time.monotonic() - start) / 60, 1)
        if args.out:  # after each case, so that an interrupted run leaves what it has
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    log(f"{result['minutes']} minutes in all")
    print(sections(result))


if __name__ == "__main__":
    main(sys.argv[1:])
