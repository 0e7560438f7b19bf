"""What a run shows of the paper's claim, in the one text that is made from its numbers."""

from __future__ import annotations

import pandas as pd

from imdm.results.frame import RATIO, decided, first_seed, lines, select
from imdm.results.names import BASELINE

_WHERE = {"As sampled": {"kind": "samples"}, "At the teacher's entropy": {"kind": "equal_entropy", "target": "teacher"}}


def outcomes(frame: pd.DataFrame, **wanted: str) -> list[str]:
    """`decided` of every ratio of IMDM over MDLM with the same recipe and steps; of a kind, and a target at equal entropy."""
    found = select(first_seed(frame), metric=RATIO, variant="imdm", **wanted)
    return [decided(row) for row in lines(found) if row.against.startswith(f"{BASELINE}/") and row.value is not None]


def verdict(frame: pd.DataFrame) -> str:
    """How many comparisons the ratios' paired intervals decide for whom, and how many chance would."""
    parts = []
    for name, wanted in _WHERE.items():
        found = outcomes(frame, **wanted)
        if found:
            ours, base, ties = (found.count(side) for side in ("ours", "base", "tie"))
            parts.append(
                f"{name}, {ours} of {len(found)} comparisons are decided for IMDM, {base} for MDLM, {ties} are undecided "
                f"(chance would decide about {0.05 * len(found):.1f})."
            )
    if not parts:
        return "MDLM and IMDM were not both sampled, so nothing is compared."
    return " ".join(["Gen-PPL of IMDM over MDLM's by recipe and step count, paired 95% intervals.", *parts])
