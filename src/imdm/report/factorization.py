"""The factorization error on text in a table, a figure and words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from imdm.errors import UserError
from imdm.params import Params
from imdm.report.cells import NONE, Cell, View, value_cell
from imdm.report.names import BASELINE, NAMES, TEACHER, baseline_of, name_of, setting_of
from imdm.report.rows import Row, find, select
from imdm.report.style import COLOURS, GREY, MARKERS, colour, curve, grid, legend, log_steps, save
from imdm.report.tables import read_json, winner

if TYPE_CHECKING:
    from pandas import DataFrame

TABLE = "factorization"
DIFFERENCE = "error_difference_nats_per_token"
PARTS = {
    "correlation_nats_per_token": "Teacher's total correlation",
    "marginals_nats_per_token": "Marginals",
    "dependence_nats_per_token": "Dependence by noise",
}


def factorization_rows(folder: Path, params: Params) -> list[Row]:
    """Rows of the teacher and of every model of `compare`, and paired differences to MDLM with the same recipe.

    Raises:
        UserError: a model of the comparison was not measured, or models were measured with other settings.
    """
    import pandas as pd

    wanted = [TEACHER] + [f"{v}/{r}" for r in params.compare.recipes for v in params.compare.variants]
    wanted += [
        model for model in map("/".join, params.models()) if model not in wanted and (folder / model / "factorization.json").exists()
    ]
    found: dict[str, dict[str, Any]] = {}
    frames: dict[str, DataFrame] = {}
    for model in wanted:
        file = folder / model / "factorization.json"
        found[model] = read_json(file, ("model", "teacher", "noise_draws", "seq_len", "rows"), "factorization")
        frames[model] = pd.read_parquet(file.with_name("per_sequence.parquet"))
        for key in ("teacher", "noise_draws", "seq_len"):
            if found[model][key] != found[TEACHER][key]:
                raise UserError(f"{file} was measured with another {key} than the teacher; run stages/factorization.py for {model} again.")
    rows = []
    for model, about in found.items():
        setting = setting_of(model)
        rows += [Row(TABLE, model, setting, row["steps"], row["metric"], row["value"], row["low"], row["high"]) for row in about["rows"]]
        base = baseline_of(model)
        if base in found:
            column, length = f"error_m{about['noise_draws'][-1]}", about["seq_len"]
            for steps, triple in paired_differences(frames[model], frames[base], column, length).items():
                rows.append(Row(TABLE, f"{model.partition('/')[0]}:{base}", setting, steps, DIFFERENCE, *triple))
    return rows


def paired_differences(ours: DataFrame, base: DataFrame, column: str, length: int) -> dict[int, tuple[float, float, float]]:
    """Mean difference in nats a token by steps, with a bootstrap interval over sequences, which both models have in common."""
    from imdm.scoring.bootstrap import mean_interval

    both = ours.merge(base, on=["steps", "sequence"], suffixes=("", "_base"))
    found = {}
    for steps, group in both.groupby("steps", sort=False):
        values = ((group[column] - group[f"{column}_base"]) / length).to_numpy()
        found[int(steps)] = (float(values.mean()), *mean_interval(values, 1000, 0))
    return found


def _error_metrics(rows: list[Row]) -> list[str]:
    """error_mM_nats_per_token by rising M."""
    found = dict.fromkeys(row.metric for row in rows if row.metric.startswith("error_m") and row.metric.endswith("_per_token"))
    return sorted(found, key=_draws)


def _draws(metric: str) -> int:
    return int(metric.removeprefix("error_m").partition("_")[0])


def factorization_view(rows: list[Row]) -> View:
    """Errors by model and step count, their parts, and the difference to MDLM beside Gen-PPL's verdict."""
    ours = select(rows, table=TABLE)
    metrics = _error_metrics(ours)
    last = metrics[-1].replace("_token", "_sequence") if metrics else ""
    columns = ["Model", "Steps", *(f"Error, M={_draws(metric)}" for metric in metrics), "A sequence", *PARTS.values()]
    body = []
    for model, steps in dict.fromkeys((row.model, row.steps) for row in ours if row.metric != DIFFERENCE):
        cells = [value_cell(find(ours, model=model, steps=steps, metric=metric)) for metric in (*metrics, last, *PARTS)]
        variant, _, recipe = model.partition("/")
        difference = find(ours, model=f"{variant}:{BASELINE}/{recipe}", steps=steps)
        judged = _gen_ppl(rows, variant, recipe, steps)
        mark = {"below": "win", "above": "lose"}.get(_side(difference), "")
        last_cells = value_cell(difference, mark), Cell(name_of(judged) or NONE)
        body.append([Cell(name_of(model)), Cell(str(steps), steps), *cells, *last_cells])
    caption = (
        "Eq. 6 on held-out blocks, the teacher's chain rule for the joint: KL(joint || one step), summed over the transitions of each "
        "step count, in nats per written token, with 95% bootstrap intervals over sequences. M noise draws stand for a model with noise; "
        "the estimate is too high and falls with M. At the largest M the error is the teacher's total correlation, plus what the model's "
        "single positions err by (marginals), minus the dependence between positions that the noise brings. Last columns: the error minus "
        "that of MDLM with the same recipe (paired), and whose Gen-PPL is lower."
    )
    return View(TABLE, "Factorization error on text", caption, [*columns, "Minus MDLM's", "Gen-PPL lower"], body)


def _side(row: Row | None) -> str:
    """`below`, `above` or `tie` of a difference, nothing where there is none."""
    return "" if row is None else "below" if row.high < 0 else "above" if row.low > 0 else "tie"


def _gen_ppl(rows: list[Row], variant: str, recipe: str, steps: int | None) -> str:
    ours, base = (find(rows, table="4", metric="gen_ppl", model=f"{name}/{recipe}", steps=steps) for name in (variant, BASELINE))
    return {"ours": variant, "base": BASELINE, "tie": "tie"}.get(winner(ours, base), "") if variant != BASELINE else ""


def factorization_reading(rows: list[Row]) -> list[str]:
    """What the errors say, in sentences made from the numbers."""
    ours = select(rows, table=TABLE)
    differences = [row for row in ours if row.metric == DIFFERENCE]
    metrics = _error_metrics(ours)
    if not (differences and metrics):
        return []
    counts = dict.fromkeys([(judged, side) for judged in ("lower", "tie", "higher") for side in ("below", "tie", "above")], 0)
    for row in differences:
        variant, _, recipe = row.model.partition(f":{BASELINE}/")
        judged = {variant: "lower", BASELINE: "higher", "tie": "tie"}.get(_gen_ppl(rows, variant, recipe, row.steps))
        if judged:
            counts[judged, _side(row)] += 1
    found = []
    for judged, words in (("lower", "is lower than MDLM's"), ("tie", "ties with MDLM's"), ("higher", "is higher than MDLM's")):
        below, tie, above = (counts[judged, side] for side in ("below", "tie", "above"))
        if below + tie + above:
            found.append(
                f"Where Gen-PPL {words} ({below + tie + above} comparisons), the factorization error is below MDLM's in {below}, "
                f"undecided in {tie} and above it in {above}."
            )
    yes = counts["lower", "below"] > counts["lower", "above"] + counts["lower", "tie"]
    if any(counts["lower", side] for side in ("below", "tie", "above")):
        found.insert(0, f"Does the error fall where Gen-PPL does? In most comparisons {'yes' if yes else 'NO'}.")
    models = dict.fromkeys(row.model.replace(f":{BASELINE}/", "/") for row in differences)
    if len(metrics) > 1:
        falls = [_fall(ours, model, row.steps, metrics) for model in models for row in select(ours, model=model, metric=metrics[-1])]
        found.append(
            f"From M={_draws(metrics[-2])} to M={_draws(metrics[-1])} the errors of models with noise still fall by {min(falls):.2f} to "
            f"{max(falls):.2f} nats a token, so theirs are upper bounds; those of one mask are not."
        )
    for model in models:
        row = find(ours, model=model, metric="dependence_nats_per_token", steps=1)
        total = find(ours, model=model, metric="correlation_nats_per_token", steps=1)
        wrong = find(ours, model=model, metric="marginals_nats_per_token", steps=1)
        if row and total and wrong:
            found.append(
                f"{model} in one step: noise brings at least {row.value:.2f} of the {total.value:.2f} nats a token by which the teacher's "
                f"tokens depend on each other; its single positions err by {wrong.value:.2f}."
            )
    return found


def _fall(rows: list[Row], model: str, steps: int | None, metrics: list[str]) -> float:
    before, after = (find(rows, model=model, steps=steps, metric=metric) for metric in metrics[-2:])
    return before.value - after.value


def draw_factorization(rows: list[Row], stem: Path) -> None:
    """Draw the error against step counts, one panel a recipe: MDLM, the variants at the largest M, and the teacher's own."""
    from matplotlib import pyplot

    ours = select(rows, table=TABLE)
    metric = _error_metrics(ours)[-1]
    recipes: dict[str, list[str]] = {}
    for model in dict.fromkeys(row.model for row in select(ours, metric=metric) if "/" in row.model):
        variant, _, recipe = model.partition("/")
        recipes.setdefault(recipe, []).append(variant)
    others = sorted({name for variants in recipes.values() for name in variants} - set(COLOURS))
    figure, axes = pyplot.subplots(1, len(recipes), figsize=(max(2.45 * len(recipes), 3.6), 2.9), sharey=True, squeeze=False)
    for place, (recipe, variants) in zip(axes[0], recipes.items(), strict=True):
        curve(place, select(ours, model=TEACHER, metric=metric), GREY, linestyle="--", marker="", label="Teacher")
        for variant in variants:
            tint = colour(variant, others)
            found = select(ours, model=f"{variant}/{recipe}", metric=metric)
            curve(place, found, tint, marker=MARKERS.get(variant, "D"), label=NAMES.get(variant, variant))
        place.set_title(found[0].setting)
        place.set_xlabel("sampling steps")
        log_steps(place, sorted({row.steps for row in select(ours, metric=metric)}))
        grid(place)
    axes[0][0].set_ylim(bottom=0)  # of all panels, and after all curves: a limit ends the search for the others
    axes[0][0].set_ylabel("factorization error (nats a token)")
    legend(figure, axes[0])
    save(figure, stem)
