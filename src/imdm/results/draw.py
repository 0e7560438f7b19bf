"""The figures of a run: each from the frame and by its name, and the training curves from the logs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from imdm.errors import UserError
from imdm.files import require_regular
from imdm.params import parse_recipe, parse_variant
from imdm.results.frame import first_seed, one, select
from imdm.results.names import BASELINE, ORACLE, TEACHER, name_of, recipe_label, step_words
from imdm.results.panels import COLOURS, GREY, INK, OTHERS, Look, curve, log_steps, log_values, over_steps, panels, real_text, tints
from imdm.results.plan import DILATED
from imdm.results.tables import comparisons

CAPTIONS = {
    "figure02": "Figure 2. Gen-PPL against sampling steps, lower is better, with 95% intervals. Dash-dotted: the teacher in dilated steps. "
    "Below: the paper's values (LM1B, 170M parameters, GPT-2 Large). Their levels are not comparable with this run's.",
    "frontier": "Gen-PPL against entropy of the same samples, with 95% intervals. A line is one model over sampling temperatures, the "
    "lowest at its lower left end. Compare models at one entropy. Dashed: the teacher's entropy at these steps; dotted: real text's.",
    "figure03": "Figure 3. Quality over sampling steps, with 95% intervals (MAUVE: one standard deviation over k-means seeds). "
    "Below: the paper's values (OpenWebText, 170M parameters, GPT-2 Large).",
    "figure05": "Figure 5. The same as Figure 3 against the paper's 860M models.",
    "factorization": "Factorization error of Eq. 6 on held-out blocks, with 95% intervals. Models with noise: the mean over the largest "
    "number of noise draws, an upper bound. Teacher: the total correlation of what it writes in one step.",
    "training": "Training losses in nats: faint as logged, bold smoothed. Dotted: where pretraining leaves next-token prediction, or a "
    "round of SDTT or Di4C ends; each has a new target. Dashed: from scratch, or ReDi after SDTT; dash-dotted: fine-tuned.",
}
_STEPS = "sampling steps"
_REFERENCES = {TEACHER: Look("Teacher", GREY, dashes="--"), ORACLE: Look("Oracle", INK, dashes=":")}
_DILATED = Look("Teacher, dilated", GREY, dashes="-.")
_PANELS = ("Pretraining", "SDTT", "Di4C", "ReDi", "Keyed")  # of the training curves
_DASHES = {"finetune": "-.", "scratch": "--"}  # ReDi after SDTT is dashed too
_METHODS = (Look("MDLM", GREY, "v"), Look("SDTT", COLOURS["mdlm"], "o"), Look("Di4C", OTHERS[0], "^"), Look("IMDM", COLOURS["imdm"], "s"))


def draw(name: str, frame: pd.DataFrame, stem: Path) -> None:
    """Write STEM.png and STEM.svg of a figure, equal bytes for equal data, of the first training seed.

    Args:
        name: figure02, figure03, figure05, frontier or factorization.
        frame: with the numbers that the figure shows.

    Raises:
        UserError: the frame has no Gen-PPL of any VARIANT/RECIPE, which figure02 and frontier compare.
    """
    _DRAW[name](first_seed(frame), stem)


def recipes_of(frame: pd.DataFrame) -> dict[str, list[str]]:
    """The models of each recipe of which two are compared (or of every recipe, where none are), in their order; errors as `draw`'s."""
    lines, sampled = comparisons(frame), set(select(frame, kind="samples", metric="gen_ppl")["model"])
    recipes: dict[str, list[str]] = {}
    for line in [line for line in lines if line["ours"] and line["base"] in sampled] or lines:
        models = recipes.setdefault(line["recipe"], [])
        models += [model for model in (line["base"], line["ours"]) if model in sampled - {TEACHER, *models}]
    if not recipes:
        raise UserError("tables.csv holds no gen_ppl of any VARIANT/RECIPE; name recipes in compare.recipes and run stage tabulate.")
    return recipes


def _looks(recipes: dict[str, list[str]]) -> dict[str, Look]:
    """The teacher's, the oracle's and every model's, where recipes have panels of their own."""
    models = {model: model.partition("/")[0] for several in recipes.values() for model in several}
    colours, markers = tints(models.values()), {"mdlm": "o", "imdm": "s"}
    looks = {model: Look(name_of(variant), colours[variant], markers.get(variant, "D")) for model, variant in models.items()}
    return _REFERENCES | looks


def _width(columns: int) -> float:
    return max(2.45 * columns, 3.6)


def _figure02(frame: pd.DataFrame, stem: Path) -> None:
    """A panel a recipe, this run above, the paper below where it has the recipe."""
    recipes, ours = recipes_of(frame), select(frame, kind="samples", metric="gen_ppl")
    looks, real = _looks(recipes), one(frame, kind="reference", metric="gen_ppl")
    dilated = over_steps(select(frame, kind=DILATED, metric="gen_ppl"), model=TEACHER)
    layout = {"sharex": True, "sharey": "row", "height_ratios": (1.6, 1)}
    with panels(stem, 2, len(recipes), (_width(len(recipes)), 4.7), **layout) as (top, bottom):
        for above, below, (recipe, models) in zip(top, bottom, recipes.items(), strict=True):
            for model in (*_REFERENCES, *models):
                curve(above, over_steps(ours, model=model), looks[model])
            curve(above, dilated, _DILATED)
            for model in models:
                if len(theirs := over_steps(ours, value="paper", model=model)):
                    curve(below, theirs, looks[model], paper=True)
            lowest = below if below.lines else above
            lowest.set(xlabel=_STEPS)
            lowest.tick_params(labelbottom=True)
            below.set_visible(lowest is below)
            above.set(title=recipe_label(recipe))
        top[0].set(ylabel="Gen-PPL, this run")
        bottom[0].set(ylabel="Gen-PPL, paper (LM1B)")
        for axes in (*top, *bottom):
            if axes in top:
                real_text(axes, real)
            log_values(axes)
            log_steps(axes, ours["steps"].dropna())


def _frontier(frame: pd.DataFrame, stem: Path) -> None:
    """Gen-PPL against entropy over temperatures: a row a recipe, a column a step count, a line a model."""
    recipes, points = recipes_of(frame), select(frame, kind="frontier")
    looks, compared = _looks(recipes), [model for model in _REFERENCES if model in set(points["model"])]
    real, aimed = one(frame, kind="reference", metric="gen_ppl"), select(frame, kind="equal_entropy", metric="entropy")
    counts = sorted(points["steps"].unique())
    size = (max(1.75 * len(counts), 3.6), 1.6 * len(recipes) + 0.7)
    with panels(stem, len(recipes), len(counts), size, sharex=True, sharey="col") as places:
        for row, (recipe, models) in zip(places, recipes.items(), strict=True):
            row[0].set(ylabel=f"{recipe_label(recipe)}\nGen-PPL")
            for axes, steps in zip(row, counts, strict=True):
                for model in (*compared, *models):
                    curve(axes, _trade(select(points, model=model, steps=steps)), looks[model]._replace(marker="."))
                for target, dashes in (one(aimed, target="teacher", steps=steps), "--"), (one(aimed, target="data", steps=None), ":"):
                    if target and target.value is not None:
                        axes.axvline(target.value, color=INK, linewidth=0.7, linestyle=dashes)
        for column, steps in zip(places.T, counts, strict=True):
            column[0].set(title=step_words(steps))
            column[-1].set(xlabel="entropy (nats)")
            real_text(column[0], real, 0.9)
            log_values(column[0])


def _trade(points: pd.DataFrame) -> pd.DataFrame:
    """Entropy as x and Gen-PPL as value, by temperature."""
    entropy, ppl = (select(points, metric=metric).set_index("temperature").sort_index() for metric in ("entropy", "gen_ppl"))
    return ppl[["value", "low", "high"]].assign(x=entropy["value"], x_low=entropy["low"], x_high=entropy["high"])


def _baselines(frame: pd.DataFrame, stem: Path) -> None:
    """Figures 3 and 5: three panels of this run and three of the paper, from the tables with their numbers."""
    kinds = [("samples", "gen_ppl", "Unconditional Gen-PPL"), ("conditional", "gen_ppl", "Conditional Gen-PPL")]
    kinds.append(("conditional", "mauve", "Conditional MAUVE"))
    with panels(stem, 2, 3, (7.6, 4.9), sharex=True, height_ratios=(1.25, 1)) as (top, bottom):
        for above, below, (kind, metric, title) in zip(top, bottom, kinds, strict=True):
            part = select(frame, kind=kind, metric=metric)
            for look in _METHODS:
                curve(above, over_steps(part, setting=look.label), look)
                if len(theirs := over_steps(part, value="paper", setting=look.label)):
                    curve(below, theirs, look, paper=True)
            above.set(title=title)
            below.set(xlabel=_STEPS)
            for axes in (above, below) if metric == "gen_ppl" else ():
                log_values(axes)
            log_steps(below, frame["steps"].dropna())
        top[0].set(ylabel="this run")
        bottom[0].set(ylabel="paper (OpenWebText)")


def _factorization(frame: pd.DataFrame, stem: Path) -> None:
    """A panel a recipe: MDLM, the variants at the largest number of noise draws, and the teacher's own."""
    errors = frame[frame["metric"].str.fullmatch(r"error_m\d+_nats_per_token")]
    draws = errors["metric"].str.extract(r"m(\d+)_", expand=False).astype(int)
    errors = errors[draws == draws.max()]
    recipes = {recipe: list(dict.fromkeys(part["model"])) for recipe, part in errors.groupby("recipe", sort=False) if recipe}
    looks = _looks(recipes)
    with panels(stem, 1, len(recipes), (_width(len(recipes)), 2.9), sharey=True) as ((*places,),):
        for axes, (recipe, models) in zip(places, recipes.items(), strict=True):
            for model in (*_REFERENCES, *models):
                curve(axes, over_steps(errors, model=model), looks[model])
            log_steps(axes, errors["steps"])
            axes.set(title=recipe_label(recipe), xlabel=_STEPS)
        places[0].set(ylabel="factorization error (nats a token)", ylim=(0, None))


_DRAW = {"figure02": _figure02, "figure03": _baselines, "figure05": _baselines, "frontier": _frontier, "factorization": _factorization}


def read_log(path: Path) -> pd.DataFrame:
    """step and loss (nats) of a train_log.csv, empty for a model that was loaded. Raises UserError: it lacks one, or holds no numbers."""
    require_regular(path, "run the training again")
    try:
        log = pd.read_csv(path)[["step", "loss"]].astype({"step": int, "loss": float})
        if np.isfinite(log["loss"]).all():
            return log
        raise ValueError
    except (ValueError, TypeError, OverflowError, KeyError):
        raise UserError(f"{path} must have numbers in the columns step and loss; run the training again.") from None


def draw_training(logs: dict[str, Path], stem: Path, warm_start: int) -> None:
    """As `draw`, the figure `training`: a panel for each kind of training that left a log, rounds of one model after the other.

    Args:
        logs: train_log.csv by model: teacher, judge, VARIANT/RECIPE.
        warm_start: steps of a pretraining that have another loss (next-token prediction), over whose end no curve is smoothed.
    """
    first = [name for name in logs if not parse_variant(name.partition("/")[0])[1]]
    curves = {name: log for name in sorted(first, key=_order) if len(log := read_log(logs[name]))}
    shown = [title for title in _PANELS if title in map(_panel, curves)] or ["Nothing was trained"]
    colours = tints(name.split("/")[0] for name in curves if "/" in name)
    with panels(stem, 1, len(shown), (max(2.6 * len(shown), 3.6), 2.9)) as ((*places,),):
        last: dict[str, int] = {}  # the step at which the rounds of a model so far end
        for name, log in curves.items():
            (variant, _, recipe), model, title = name.partition("/"), re.sub(r"\d+$", "", name), _panel(name)
            axes = places[shown.index(title)]
            if model in last:
                axes.axvline(last[model], color=GREY, linewidth=0.6, linestyle=":")
            steps, colour = log["step"] + last.get(model, 0), colours[variant] if recipe else INK if name == TEACHER else GREY
            axes.plot(steps, log["loss"], color=colour, linewidth=0.5, alpha=0.3)
            dashes = _DASHES.get(recipe, "--" if recipe.endswith("-redi") else "-")
            label: str | None = name_of(variant) if recipe else name.capitalize()
            pretrained = name == TEACHER or recipe == "scratch"
            for _, part in log["loss"].groupby(log["step"] > warm_start * pretrained):
                smooth = part.rolling(max(3, len(log) // 12), center=True, min_periods=1).mean()
                axes.plot(steps[part.index], smooth, color=colour, linewidth=1.2, linestyle=dashes, label=label)
                label = None
            if name == TEACHER and warm_start:
                axes.axvline(warm_start, color=GREY, linewidth=0.6, linestyle=":")
            last[model] = steps.iloc[-1]
        for axes, title in zip(places, shown, strict=True):
            axes.set(title=title, xlabel="optimizer steps")
            if title == "SDTT":
                log_values(axes)
        places[0].set(ylabel="loss (nats)")


def _order(name: str) -> tuple[bool, str, int]:
    """MDLM before other variants, rounds of one model by number."""
    number = re.search(r"\d+$", name)
    return "/" in name and not name.startswith(f"{BASELINE}/"), re.sub(r"\d+$", "", name), int(number[0]) if number else 0


def _panel(name: str) -> str:
    recipe = parse_recipe(name.partition("/")[2])
    names = recipe and {"Keyed": recipe.keyed, "ReDi": recipe.redi, "Di4C": recipe.di4c, "SDTT": recipe.rounds}
    return next((title for title, has in (names or {}).items() if has), _PANELS[0])
