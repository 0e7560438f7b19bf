"""What a run shows, in sentences made from its numbers."""

from __future__ import annotations

from imdm.report.cells import MARKS, NONE, Cell, View, number, seeds_cell, value_cell
from imdm.report.equal_entropy import at, decided
from imdm.report.memorization import memorization
from imdm.report.names import BASELINE, RATIO, TEACHER, baseline_of, sides, versus
from imdm.report.rows import Row, find, select
from imdm.report.seeds import seeds_in
from imdm.report.tables import winner
from imdm.report.views import challenges

_WORDS = {"ours": "better", "base": "worse", "tie": "tied"}


def outcomes(rows: list[Row], variant: str, recipe: str) -> dict[int, str]:
    """winner() of VARIANT/RECIPE against MDLM at every step count that both were sampled at."""
    base = {row.steps: row for row in select(rows, table="4", metric="gen_ppl", model=baseline_of(f"{variant}/{recipe}"))}
    ours = {row.steps: row for row in select(rows, table="4", metric="gen_ppl", model=f"{variant}/{recipe}")}
    if variant == BASELINE:
        return {}
    found = {steps: winner(ours[steps], base[steps]) for steps in sorted(set(base) & set(ours))}
    return {steps: result for steps, result in found.items() if result}


def verdict(rows: list[Row], variant: str = "imdm") -> str:
    """One sentence: how often the variant is better, worse, or tied with MDLM."""
    results = [result for name, recipe, _ in challenges(rows) if name == variant for result in outcomes(rows, variant, recipe).values()]
    if not results:
        return "MDLM and IMDM were not both sampled, so nothing is compared."
    better, worse, ties = (results.count(kind) for kind in ("ours", "base", "tie"))
    counts = f"IMDM is better in {better}, worse in {worse}, and tied in {ties} (95% intervals overlap)"
    return f"{len(results)} comparisons (recipe and step count): {counts}."


def sentences(rows: list[Row]) -> list[str]:
    """The summary of the report, one point a sentence or two."""
    found = [verdict(rows)]
    for variant, recipe, label in challenges(rows):
        results = outcomes(rows, variant, recipe)
        if results:
            found.append(_recipe(rows, variant, recipe, label, results))
    for variant, recipe, _ in challenges(rows):
        if variant == "imdm":
            found += memorization(rows, f"{variant}/{recipe}")
    return found + [text for text in (_entropy(rows), equal_entropy(rows), _synthetic(rows), _teacher(rows), _judge(rows)) if text]


def ratios(rows: list[Row]) -> View:
    """Gen-PPL of IMDM over that of MDLM: a line a recipe, a column a step count, below each at equal entropy and the paper's."""
    found = select(rows, table="4", metric=RATIO)
    steps, seeds = sorted({row.steps for row in found}), seeds_in(rows)
    body = []
    for variant, recipe, label in challenges(rows):
        results = outcomes(rows, variant, recipe)
        line = [find(found, model=versus(variant, recipe), steps=n) for n in steps]
        if any(line):
            cells = [Cell(f"{row.value:.2f}", row.value, MARKS[results.get(row.steps, "")]) if row else Cell(NONE) for row in line]
            body.append([Cell(label), *cells])
        cells = [seeds_cell(rows, "4", RATIO, versus(variant, recipe), n) for n in steps]
        if any(cell.sort for cell in cells):
            body.append([Cell(f"{seeds} training seeds", None, "below"), *cells])
        equal = [at(rows, "teacher", versus(variant, recipe), n, RATIO) for n in steps]
        if any(equal):
            cells = [Cell(f"{row.value:.2f}", row.value, MARKS[decided(row)]) if row and row.value else Cell(NONE) for row in equal]
            body.append([Cell("at equal entropy", None, "below"), *cells])
        if any(row and row.paper for row in line):
            theirs = [Cell(f"{row.paper:.2f}", row.paper, "paper") if row and row.paper else Cell(NONE, None, "paper") for row in line]
            body.append([Cell("paper", None, "paper"), *theirs])
    spread = "Training seeds: mean ± standard deviation. " if seeds else ""
    caption = (
        "Gen-PPL of IMDM divided by that of MDLM, and of a keyed distillation by that of its teacher; below 1 IMDM is better. "
        "Filled cells are decided (the two 95% intervals do not "
        "overlap), the others are ties. At equal entropy: both at the teacher's entropy at the same number of steps, filled where the "
        f"ratio's own interval leaves out 1. {spread}Lines marked paper: the same ratio from "
        "the paper's Table 4."
    )
    return View("ratios", "IMDM / MDLM by sampling steps", caption, ["Recipe", *(f"{n} step{'s' if n > 1 else ''}" for n in steps)], body)


def _recipe(rows: list[Row], variant: str, recipe: str, label: str, results: dict[int, str]) -> str:
    name, _ = _spoken(versus(variant, recipe))
    base = baseline_of(f"{variant}/{recipe}")
    whose = "the teacher's" if base == TEACHER else "MDLM's"
    ratios = {row.steps: row for row in select(rows, table="4", metric=RATIO, model=versus(variant, recipe))}
    parts = []
    for kind, word in _WORDS.items():
        steps = [steps for steps, result in results.items() if result == kind]
        if steps:
            parts.append(f"{word} at {_list(steps)} ({', '.join(f'{ratios[n].value:.2f}' for n in steps)})")
    theirs = [f"{ratios[n].paper:.2f} at {n}" for n in results if ratios[n].paper is not None]
    paper = f" The paper's ratios: {', '.join(theirs)} steps." if theirs else ""
    return f"{label}: {name} is {'; '.join(parts)}; in brackets its Gen-PPL over {whose}.{paper}"


def _spoken(pair: str) -> list[str]:
    """The names of `sides` within a sentence."""
    article = "the " if pair.endswith(f":{TEACHER}") else ""
    return [article + name for name in sides(pair)]


def _list(steps: list[int]) -> str:
    words = [str(n) for n in steps]
    return (words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}") + (" step" if steps == [1] else " steps")


def _entropy(rows: list[Row]) -> str:
    gaps = []
    for variant, recipe, label in challenges(rows):
        for row in select(rows, table="5", metric="entropy", model=f"{variant}/{recipe}"):
            base = find(rows, table="5", metric="entropy", model=f"{BASELINE}/{recipe}", steps=row.steps)
            if base and variant == "imdm":
                gaps.append((row.value - base.value, label, row.steps))
    if not gaps:
        return ""
    low, high = min(gaps), max(gaps)
    return (
        f"Entropy: IMDM's minus MDLM's lies between {low[0]:+.3f} ({low[1]}, {_list([low[2]])}) and {high[0]:+.3f} nats "
        f"({high[1]}, {_list([high[2]])}); a lower Gen-PPL at a lower entropy may partly be bought by repetition."
    )


def equal_entropy(rows: list[Row]) -> str:
    """Where IMDM's Gen-PPL is below MDLM's when both have the teacher's entropy, with the ratios' paired intervals."""
    found = []
    for variant, recipe, label in challenges(rows):
        ratios = {steps: at(rows, "teacher", versus(variant, recipe), steps, RATIO) for steps in outcomes(rows, variant, recipe)}
        ours, base = _spoken(versus(variant, recipe))
        kinds = {"ours": f"{ours} beats {base}", "base": f"{base} beats {ours}", "tie": "undecided", "": "out of reach"}
        parts = []
        for kind, words in kinds.items():
            steps = [n for n, row in ratios.items() if decided(row) == kind]
            values = [value_cell(ratios[n]).text for n in steps if kind]
            parts += [" ".join([words, "at", _list(steps), *([f"({', '.join(values)})"] if values else [])])] if steps else []
        found += [f"{label}: {'; '.join(parts)}."] if any(ratios.values()) else []
    if not found:
        return ""
    return (
        "At equal entropy, sampled at the temperatures at which both have the teacher's entropy at the same number of steps (in brackets "
        f"the first's Gen-PPL over the second's, with 95% intervals): {' '.join(found)}"
    )


def _synthetic(rows: list[Row]) -> str:
    means = {row.model: row for row in select(rows, table="1", metric="validity_pct") if row.setting.startswith("mean")}
    names = {"mdm": "with one mask", "imdm": "with infinitely many", "imdm-driven": "and with noise-driven couplings"}
    parts = [f"{words} {means[m].value:.1f}% (lowest seed {means[m].low:.1f}%)" for m, words in names.items() if m in means]
    return f"Synthetic task, valid sequences in one step: {', '.join(parts)}." if parts else ""


def _teacher(rows: list[Row]) -> str:
    valid, unigram = (find(rows, table="models", model="teacher", metric=name) for name in ("valid_perplexity", "unigram_perplexity"))
    curve = sorted(select(rows, table="4", model="teacher", metric="gen_ppl"), key=lambda row: row.steps)
    if not (valid and unigram and curve):
        return ""
    pairs = zip(curve, curve[1:], strict=False)
    falls = all(after.low <= before.high for before, after in pairs if after.low is not None and before.high is not None)
    trend = "" if falls else ", but does NOT fall at every step count"
    below = "below" if valid.value < unigram.value else "NOT below"
    return (
        f"Teacher: validation perplexity (bound) {number(valid.value, 'perplexity')}, {below} the unigram's "
        f"{number(unigram.value, 'perplexity')}; its Gen-PPL goes from {number(curve[0].value, 'gen_ppl')} at {_list([curve[0].steps])} "
        f"to {number(curve[-1].value, 'gen_ppl')} at {_list([curve[-1].steps])}{trend}."
    )


def _judge(rows: list[Row]) -> str:
    own, unigram = (find(rows, table="models", model="judge", metric=name) for name in ("held_out_perplexity", "unigram_perplexity"))
    real = find(rows, table="4", model="test text")
    if not (own and unigram and real):
        return ""
    return (
        f"Judge {own.setting!r}: own held-out perplexity {number(own.value, own.metric)} (unigram {number(unigram.value, own.metric)}). "
        f"Real text scores {number(real.value, 'gen_ppl')}; a model far below that is likely to repeat itself."
    )
