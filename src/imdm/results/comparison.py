"""Who is compared with whom, and what a run shows of the paper's claim."""

from __future__ import annotations

import pandas as pd

from imdm.params import PUBLIC
from imdm.results.frame import RATIO, decided, first_seed, lines, select
from imdm.results.names import BASELINE, TEACHER, baseline_of, name_of, setting_of
from imdm.results.table import Line, distinct

_ALONE = (BASELINE, PUBLIC)  # models that stand under MDLM
AT_TEACHERS = {"kind": "equal_entropy", "target": "teacher"}
WHERE = {"As sampled": {"kind": "samples"}, "At the teacher's entropy": AT_TEACHERS}  # the ratios that a comparison has


def comparisons(frame: pd.DataFrame) -> list[Line]:
    """What is compared: recipe, label, `ours` and `base` of each group of lines.

    What MDLM alone has, and public checkpoints, are a `base` without `ours`; a keyed student's base is what it learns from.
    """
    recipes: dict[str, list[str]] = {}
    for line in distinct(select(frame, kind="samples", metric="gen_ppl", replicate=0), "variant", "recipe"):
        if line["recipe"]:
            recipes.setdefault(line["recipe"], []).append(line["variant"])
    compared = []
    for recipe, variants in recipes.items():
        paired = set(variants) - set(_ALONE)
        for variant in [name for name in variants if name != BASELINE or not paired]:
            model = f"{variant}/{recipe}"
            base = model if variant in _ALONE else baseline_of(model)
            plain = variant in (*_ALONE, "imdm") or len(variants) == 1 and base == TEACHER
            label = setting_of(model) if plain else f"{setting_of(model)}: {name_of(variant)}"
            label = label[0].upper() + label[1:]
            compared.append({"recipe": recipe, "label": label, "base": base, "ours": None if model == base else model})
    return compared


def verdict(frame: pd.DataFrame) -> str:
    """How many ratios of IMDM over MDLM, same recipe and steps, the paired intervals decide for whom, and how many chance would."""
    sentences = []
    for name, wanted in WHERE.items():
        ratios = lines(select(first_seed(frame), metric=RATIO, variant="imdm", **wanted))
        sides = [decided(ratio) for ratio in ratios if ratio.against.startswith(f"{BASELINE}/") and ratio.value is not None]
        if sides:
            ours, base, ties = (sides.count(side) for side in ("ours", "base", "tie"))
            sentences.append(
                f"{name}, {ours} of {len(sides)} comparisons are decided for IMDM, {base} for MDLM, {ties} are undecided "
                f"(chance would decide about {0.05 * len(sides):.1f})."
            )
    if not sentences:
        return "MDLM and IMDM were not both sampled, so nothing is compared."
    return " ".join(["Gen-PPL of IMDM over MDLM's by recipe and step count, paired 95% intervals.", *sentences])
