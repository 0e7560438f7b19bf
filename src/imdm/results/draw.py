"""The figures of a run, each from the frame and by its name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from imdm.errors import UserError
from imdm.params import parse_variant
from imdm.results.comparison import comparisons
from imdm.results.draw_training import draw_training
from imdm.results.frame import first_seed, one, select
from imdm.results.names import METRICS, TEACHER, name_of, recipe_label, step_words
from imdm.results.panels import COLOURS, GREY, INK, OTHERS, Line, Panel, colour, draw_panels, others, over, styled

CAPTIONS = {
    "figure02": "Figure 2. Gen-PPL against sampling steps, lower is better, with 95% intervals. Below: the paper's values (LM1B, 170M "
    "parameters, GPT-2 Large), whose levels are not comparable with this run's.",
    "frontier": "Gen-PPL against entropy of the same samples, both with 95% intervals: each line is one model over sampling temperatures, "
    "the lowest at its lower left end. Models compare fairly at one entropy alone. Dashed: the teacher's entropy as it is sampled at these "
    "steps; dotted: real text's entropy, and its Gen-PPL where it is near.",
    "figure03": "Figure 3. Quality over sampling steps, with 95% intervals (MAUVE: one standard deviation over k-means seeds to either "
    "side). Below: the paper's values (OpenWebText, 170M parameters, GPT-2 Large).",
    "figure05": "Figure 5. The same as Figure 3 against the paper's 860M models.",
    "factorization": "Factorization error of Eq. 6 on held-out blocks, with 95% intervals. Models with noise: the mean over the largest "
    "number of noise draws, an upper bound. Teacher: the total correlation of what it writes in one step.",
    "dictionary": "Valid samples against the number of words at each step count, and in one step against each setting that was varied, "
    "with 95% intervals (several seeds: least and largest).",
    "chain": "KL of the samples' bigrams from the chain's transitions, and exact NLL a token, with 95% intervals (several seeds: least and "
    "largest). Dotted: as many samples of the data itself.",
    "training": "Training losses in nats: faint as logged, bold smoothed. Rounds of SDTT and Di4C follow one another; each has a new "
    "target. Dashed: from scratch, or ReDi after SDTT; dash-dotted: fine-tuned.",
}
_STEPS = "sampling steps"
_MARKERS = {"mdlm": "o", "imdm": "s"}
_SMALL = ("imdm-driven", "imdm-driven-any-order", "keyed")  # of the small tasks, in the order of their colours
_LOOKS = {"best-mdm": (INK, "", "--"), TEACHER: (GREY, "", "--"), "mdm": (COLOURS["mdlm"], "o", "-"), "imdm": (COLOURS["imdm"], "s", "-")}
_LOOKS |= {model: (OTHERS[place], "^vD"[place], "-:-"[place]) for place, model in enumerate(_SMALL)}
_METHODS = {"MDLM": (GREY, "v"), "SDTT": (COLOURS["mdlm"], "o"), "Di4C": (OTHERS[0], "^"), "IMDM": (COLOURS["imdm"], "s")}
_VARIED = {"pairs": "random pairs", "noise_dim": "noise dimension", "hidden_size": "width", "length": "letters a word"}


def draw(name: str, frame: pd.DataFrame, stem: Path, logs: dict[str, Path] | None = None) -> None:
    """Write STEM.png and STEM.svg of a figure, equal bytes for equal data, of the first training seed.

    Args:
        name: figure02, figure03, figure05, frontier, factorization, dictionary, chain or training.
        frame: with the numbers that the figure shows.
        logs: train_log.csv by model, for training.

    Raises:
        UserError: the frame has no Gen-PPL of any VARIANT/RECIPE, which figure02 and frontier compare.
    """
    with styled():
        if name == "training":
            draw_training({model: log for model, log in (logs or {}).items() if not parse_variant(model.partition("/")[0])[1]}, stem)
        else:
            _DRAW[name](first_seed(frame), stem)


def recipes_of(frame: pd.DataFrame) -> dict[str, list[str]]:
    """The models of each recipe of which two are compared (or of every recipe, where none are), in the tables' order.

    Raises:
        UserError: there is no recipe.
    """
    lines, sampled = comparisons(frame), set(select(frame, kind="samples", metric="gen_ppl")["model"])
    recipes: dict[str, list[str]] = {}
    for line in [line for line in lines if line["ours"] and line["base"] in sampled] or lines:
        models = recipes.setdefault(line["recipe"], [])
        models += [model for model in (line["base"], line["ours"]) if model in sampled - {TEACHER, *models}]
    if not recipes:
        raise UserError("tables.csv holds no gen_ppl of any VARIANT/RECIPE; name recipes in compare.recipes and run stage tabulate.")
    return recipes


def _tints(recipes: dict[str, list[str]]) -> list[str]:
    return others(model.partition("/")[0] for models in recipes.values() for model in models)


def _lines(frame: pd.DataFrame, models: Iterable[str], tints: list[str]) -> list[Line]:
    """The teacher and the models of a recipe."""
    lines = [Line("Teacher", over(frame, model=TEACHER), GREY, dashes="--")]
    for model in models:
        variant = model.partition("/")[0]
        lines.append(Line(name_of(variant), over(frame, model=model), colour(variant, tints), _MARKERS.get(variant, "D")))
    return lines


def _width(panels: int, each: float = 2.45) -> float:
    return max(each * panels, 3.6)


def _figure02(frame: pd.DataFrame, stem: Path) -> None:
    """A panel a recipe, this run above, the paper below where it has the recipe."""
    recipes, ours = recipes_of(frame), select(frame, kind="samples", metric="gen_ppl")
    real, tints = one(frame, kind="reference", metric="gen_ppl"), _tints(recipes)
    top, bottom = [], []
    for recipe, models in recipes.items():
        lines = _lines(ours, models, tints)
        theirs = [
            replace(line, label="", points=over(ours, value="paper", model=model)) for line, model in zip(lines[1:], models, strict=True)
        ]
        data = ("Real text", real.value, (0.03, 0.03)) if real else None
        top.append(Panel(lines, recipe_label(recipe), "", "" if top else "Gen-PPL, this run", log=True, data=data))
        shown = [line for line in theirs if len(line.points)]
        bottom.append(Panel(shown, "", _STEPS, "" if bottom else "Gen-PPL, paper (LM1B)", log=True))
    draw_panels([top, bottom], stem, (_width(len(top)), 4.7), sharex=True, sharey="row", height_ratios=(1.6, 1))


def _frontier(frame: pd.DataFrame, stem: Path) -> None:
    """Gen-PPL against entropy over temperatures: a panel a step count, a line a model; colour is the variant, mark the recipe."""
    recipes, points = recipes_of(frame), select(frame, kind="frontier")
    tints, looks = _tints(recipes), {TEACHER: ("Teacher", GREY, ".", "-")}
    for place, (recipe, models) in enumerate(recipes.items()):
        mark, dashes = "so^Dv"[place % 5], ("-", "--", "-.", ":", "-")[place % 5]
        for model in models:
            variant = model.partition("/")[0]
            looks[model] = f"{name_of(variant)}, {recipe_label(recipe)}", colour(variant, tints), mark, dashes
    real, aimed = one(frame, kind="reference", metric="gen_ppl"), select(frame, kind="equal_entropy", metric="entropy")
    panels = []
    for steps in sorted(points["steps"].unique()):
        targets = (one(aimed, target="teacher", steps=steps), "--"), (one(aimed, target="data", steps=None), ":")
        lines = [Line(label, _trade(select(points, model=model, steps=steps)), *look) for model, (label, *look) in looks.items()]
        panel = Panel(lines, step_words(steps), "entropy (nats)", "Gen-PPL", steps=False, log=True)
        marks = tuple((target.value, dashes) for target, dashes in targets if target)
        panels.append(replace(panel, marks=marks, data=("Real text", real.value, (0.03, 0.93)) if real else None))
    _draw_grid(panels, stem, 2.5, 0.6, sharex=True)


def _trade(points: pd.DataFrame) -> pd.DataFrame:
    """Entropy as x and Gen-PPL as value, by temperature."""
    entropy, ppl = (select(points, metric=metric).set_index("temperature").sort_index() for metric in ("entropy", "gen_ppl"))
    return ppl[["value", "low", "high"]].assign(x=entropy["value"], x_low=entropy["low"], x_high=entropy["high"])


def _draw_grid(panels: list[Panel], stem: Path, height: float, legend: float, **layout: object) -> None:
    """Panels of a height in inches, three a line; the names of the axes stand at the left and at the bottom."""
    across = min(3, len(panels))
    panels = [replace(panel, y=panel.y if place % across == 0 else "") for place, panel in enumerate(panels)]
    grid = [panels[start : start + across] for start in range(0, len(panels), across)]
    draw_panels(grid, stem, (_width(across, 2.6), height * len(grid) + legend), **layout)


def _baselines(frame: pd.DataFrame, stem: Path) -> None:
    """Figures 3 and 5: three panels of this run and three of the paper, from the tables with their numbers."""
    panels = (("samples", "gen_ppl", "Unconditional Gen-PPL"), ("conditional", "gen_ppl", "Conditional Gen-PPL"))
    looks = {head: look for head, look in _METHODS.items() if len(select(frame, setting=head))}
    top, bottom = [], []
    for kind, metric, title in (*panels, ("conditional", "mauve", "Conditional MAUVE")):
        part = select(frame, kind=kind, metric=metric)
        ours = [Line(head, over(part, setting=head), *look) for head, look in looks.items()]
        theirs = [Line("", over(part, value="paper", setting=head), *look) for head, look in looks.items()]
        top.append(Panel(ours, title, "", "" if top else "this run", log=metric == "gen_ppl"))
        bottom.append(Panel(theirs, "", _STEPS, "" if bottom else "paper (OpenWebText)", log=metric == "gen_ppl"))
    draw_panels([top, bottom], stem, (7.6, 4.9), sharex=True, height_ratios=(1.25, 1))


def _factorization(frame: pd.DataFrame, stem: Path) -> None:
    """A panel a recipe: MDLM, the variants at the largest number of noise draws, and the teacher's own."""
    errors = frame[frame["metric"].str.fullmatch(r"error_m\d+_nats_per_token")]
    draws = errors["metric"].str.extract(r"m(\d+)_", expand=False).astype(int)
    errors = errors[draws == draws.max()]
    recipes = {recipe: list(dict.fromkeys(part["model"])) for recipe, part in errors.groupby("recipe", sort=False) if recipe}
    tints = _tints(recipes)
    panels = [Panel(_lines(errors, models, tints), recipe_label(recipe), _STEPS) for recipe, models in recipes.items()]
    panels[0] = replace(panels[0], y="factorization error (nats a token)")
    draw_panels([panels], stem, (_width(len(panels)), 2.9), sharey=True, last=lambda axes: axes.set_ylim(bottom=0))


def _small_task(frame: pd.DataFrame, column: str, **wanted: object) -> list[Line]:
    """A line a model of a small task; `frame` has the means over seeds."""
    labels = {model: "Teacher" if model == TEACHER else name_of(model) for model in _LOOKS}
    lines = [Line(labels[model], over(frame, column, model=model, **wanted), *look) for model, look in _LOOKS.items()]
    return [line for line in lines if len(line.points)]


def _chain(frame: pd.DataFrame, stem: Path) -> None:
    """Bigram KL and NLL against sampling steps, a line a model, with the data's own values dotted."""
    means, panels = select(frame, kind="chain", seed=None), []
    for metric in ("bigram_kl_nats", "nll_nats"):
        data = one(means, model="data", metric=metric)
        lines = _small_task(means, "steps", metric=metric)
        panels.append(Panel(lines, "", _STEPS, METRICS[metric], log=True, data=("Data", data.value, (0.03, 0.03))))
    draw_panels([panels], stem, (6.0, 2.8))


def _dictionary(frame: pd.DataFrame, stem: Path) -> None:
    """Validity against K for each step count, and in the fewest steps against each setting that was varied."""
    valid = select(frame, kind="dictionary", metric="validity_pct", seed=None)
    main, fewest = valid[valid["varied"] == ""], valid["steps"].min()
    letters = main.groupby("length")["words"].nunique().idxmax()

    def panel(lines: list[Line], title: str, x: str) -> Panel:
        return Panel(lines, title, x, "valid samples (%)", share=True)

    counts = main["steps"].unique()
    panels = [panel(_small_task(main, "words", length=letters, steps=n), f"{step_words(n)}, L={letters}", "words K") for n in counts]
    for column, words in _VARIED.items():
        varied = select(main if column == "length" else valid[valid["varied"] == column], steps=fewest)
        if varied.empty:
            continue
        count = varied.groupby("words")[column].nunique().idxmax()
        varied = select(varied, words=count)
        if column != "length":  # with the main grid's own value
            own = select(main, words=count, steps=fewest, length=set(varied["length"]), model=set(varied["model"]) - {"imdm-driven"})
            varied = pd.concat([varied, own])
        if varied[column].nunique() > 1:
            panels.append(panel(_small_task(varied, column), f"{step_words(fewest)}, K={count}: {words}", words))
    _draw_grid(panels, stem, 2.3, 0.4, sharey=True)


_DRAW = {"figure02": _figure02, "figure03": _baselines, "figure05": _baselines, "frontier": _frontier}
_DRAW |= {"factorization": _factorization, "dictionary": _dictionary, "chain": _chain}
