"""What a run says in a dozen numbers: summary.json, the first lines of the report and the terminal, and DVC's metrics."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from imdm.results.frame import RATIO, decided, first_seed, lines, one, select
from imdm.results.names import BASELINE, REAL, TEACHER, name_of
from imdm.results.plan import DILATED
from imdm.results.scoreboard import fooled_counts
from imdm.results.table import digits
from imdm.results.tables import WHERE

_LEARNT = 0.9  # of the perplexity of token frequencies; a teacher above it is said to have learnt little
FEW = (1, 2, 4)  # sampling steps at which the best model is named
_WORDS = {"as_sampled": "As sampled", "equal_entropy": "At the teacher's entropy"}


def summary(frame: pd.DataFrame) -> dict[str, Any]:
    """The numbers, of the first training seed.

    Returns:
        better: by where (as_sampled, equal_entropy), the comparisons of IMDM with MDLM (same recipe and steps) that the paired
            interval decides for imdm and for mdlm, and of how many.
        imdm_over_mdlm: by sampling steps, the lowest Gen-PPL of IMDM's students over the lowest of MDLM's, as sampled.
        best: by sampling steps, model and gen_ppl of the lowest Gen-PPL as sampled.
        dilated: by sampling steps, Gen-PPL of the teacher with the positions of a step far apart.
        fooled: how many metrics rank a control above the teacher, and of how many.
        teacher_over_unigram: the teacher's held-out perplexity over that of token frequencies.
        teacher, real_text: Gen-PPL of the teacher at its most steps, and of held-out text. judge: its own held-out perplexity.
        What the frame does not hold is left out.
    """
    frame = first_seed(frame)
    numbers: dict[str, Any] = {"better": {}, "best": {}}
    for where, wanted in zip(_WORDS, WHERE.values(), strict=True):
        ratios = lines(select(frame, metric=RATIO, variant="imdm", **wanted))
        sides = [decided(ratio) for ratio in ratios if ratio.against.startswith(f"{BASELINE}/") and ratio.value is not None]
        if sides:
            numbers["better"][where] = {"imdm": sides.count("ours"), "mdlm": sides.count("base"), "of": len(sides)}
    samples = select(frame, kind="samples", metric="gen_ppl")
    for steps in FEW:
        if len(at := select(samples, steps=steps)):
            best = at.loc[at["value"].idxmin()]
            numbers["best"][str(steps)] = {"model": best["model"], "gen_ppl": float(best["value"])}
            lowest = [select(at, variant=variant)["value"].min() for variant in ("imdm", BASELINE)]
            if not any(map(math.isnan, lowest)):
                numbers.setdefault("imdm_over_mdlm", {})[str(steps)] = float(lowest[0] / lowest[1])
    dilated = lines(select(frame, kind=DILATED, model=TEACHER, metric="gen_ppl", steps=FEW[1:]))
    if dilated:  # in one step it is the teacher
        numbers["dilated"] = {str(number.steps): number.value for number in dilated}
    if len(select(frame, kind="control")):
        numbers["fooled"] = fooled_counts(frame)
    held_out = {number.metric: number.value for number in lines(select(frame, kind="validation"))}
    if (bound := held_out.get("val_ppl")) and (unigram := held_out.get("unigram_perplexity")):
        numbers["teacher_over_unigram"] = bound / unigram
    teacher = select(samples, model=TEACHER)
    if len(teacher):
        numbers["teacher"] = float(teacher.sort_values("steps")["value"].iloc[-1])
    for name, wanted in {"real_text": {"model": REAL, "metric": "gen_ppl"}, "judge": {"kind": "judge", "metric": "val_ppl"}}.items():
        if found := one(frame, **wanted):
            numbers[name] = found.value
    return numbers


def verdict(numbers: dict[str, Any]) -> list[str]:
    """The answer to the paper's claim, and the best models, as sentences."""
    said = []
    if (ratio := numbers.get("teacher_over_unigram", 0)) > _LEARNT:
        said.append(f"The teacher knows little but token frequencies, its perplexity is {ratio:.2f} of theirs: train it longer first.")
    for where, count in numbers["better"].items():
        chance = f"{0.05 * count['of']:.1f}"
        said.append(
            f"{_WORDS[where]}, IMDM is better than MDLM in {count['imdm']} of {count['of']} comparisons and worse in {count['mdlm']}; "
            f"chance alone would decide about {chance}."
        )
    if over := numbers.get("imdm_over_mdlm"):
        said.append(f"IMDM's best student over MDLM's best: {_by_steps(over, RATIO)}.")
    if not numbers["better"]:
        said.append("MDLM and IMDM were not both sampled, so nothing is compared.")
    best = pd.DataFrame([at | {"steps": steps} for steps, at in numbers["best"].items()])
    wins = [
        f"{name_of(model)} at {', '.join(part['steps'])} ({', '.join(digits(value, 'gen_ppl') for value in part['gen_ppl'])})"
        for model, part in (best.groupby("model", sort=False) if len(best) else ())
    ]
    if wins:
        said.append(f"Lowest Gen-PPL by sampling steps: {'; '.join(wins)}.")
    if dilated := numbers.get("dilated"):
        said.append(f"The teacher with the positions of a step far apart, without any training: {_by_steps(dilated, 'gen_ppl')}.")
    counts = dict(numbers.get("fooled", {"of": 0}))
    of = counts.pop("of")
    if ahead := ", ".join(f"{name_of(control)} by {count} of {of} metrics" for control, count in counts.items() if count):
        said.append(f"What no language model wrote is ranked above the teacher: {ahead}.")
    known = {"the teacher at its most steps": "teacher", "real text": "real_text", "the judge's own held-out perplexity": "judge"}
    if rest := ", ".join(f"{words} {digits(numbers[name], 'gen_ppl')}" for words, name in known.items() if name in numbers):
        said.append(f"For scale: {rest}.")
    return said


def _by_steps(values: dict[str, float], metric: str) -> str:
    return ", ".join(f"{digits(value, metric)} at {steps}" for steps, value in values.items())
