"""The figures of a run, each from the frame and by its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from imdm.errors import UserError
from imdm.params import Params, parse_recipe, parse_variant
from imdm.results.collect import paper_of
from imdm.results.draw_training import draw_training
from imdm.results.frame import first_seed, one, select
from imdm.results.names import BASELINE, METRICS, NAMES, TEACHER, name_of, recipe_label
from imdm.results.panels import Line, Panel, draw_panels, over
from imdm.results.paper import paper_steps, paper_value
from imdm.results.plan import baselines
from imdm.results.style import COLOURS, GREY, INK, MARKERS, OTHERS, colour, others, styled

CAPTIONS = {
    "figure02": "Figure 2. Gen-PPL against sampling steps, lower is better. Above: this run, with 95% intervals; below: the paper's values "
    "(LM1B, 170M parameters, GPT-2 Large), whose levels are not comparable with this run's.",
    "frontier": "Gen-PPL against entropy of the same samples, both with 95% intervals, a panel a step count: each line is one model "
    "over sampling temperatures, the lowest at its lower left end. Below and to the right is better; models compare fairly at one entropy "
    "alone. Dashed: the teacher's entropy as it is sampled at these steps; dotted: real text's entropy, and its Gen-PPL where it is near.",
    "figure03": "Figure 3. Quality over sampling steps of the teacher (MDLM), the baselines and IMDM, unconditional and conditional. "
    "Above: this run, with 95% intervals (MAUVE: one standard deviation over k-means seeds to either side); below: the paper's values "
    "(OpenWebText, 170M parameters, GPT-2 Large).",
    "figure05": "Figure 5. The same as Figure 3 against the paper's 860M models.",
    "factorization": "Factorization error of Eq. 6 on held-out blocks against sampling steps, lower is better, with 95% intervals. Models "
    "with noise: the mean over the largest number of noise draws, an upper bound. Teacher: the total correlation of what it "
    "writes in one step.",
    "dictionary": "Dictionary task: valid samples against the number of words at each step count, and in one step against each setting "
    "that was varied, with 95% intervals (several seeds: least and largest).",
    "chain": "Markov chain task: KL of the samples' bigrams from the chain's transitions, and exact NLL a token, against sampling steps, "
    "with 95% intervals (several seeds: least and largest). Dotted: as many samples of the data itself.",
    "training": "Training losses in nats: faint as logged, bold smoothed. Rounds of SDTT and Di4C follow one another; each starts from the "
    "student of the round before, so its loss is measured against a new target. Dashed: from scratch, or ReDi after SDTT; dash-dotted: "
    "fine-tuned.",
}
STEPS = "sampling steps"
_SMALL = ("imdm-driven", "imdm-driven-any-order", "keyed")  # of the small tasks, in the order of their colours
_LINES = {"best-mdm": (INK, "", "--"), TEACHER: (GREY, "", "--"), "mdm": (COLOURS["mdlm"], "o", "-"), "imdm": (COLOURS["imdm"], "s", "-")}
_LINES |= {model: (OTHERS[place], "^vD"[place], "-:-"[place]) for place, model in enumerate(_SMALL)}
_METHODS = (("MDLM", GREY, "v"), ("SDTT", COLOURS["mdlm"], "o"), ("Di4C", OTHERS[0], "^"), ("IMDM", COLOURS["imdm"], "s"))
_VARIED = {"pairs": "random pairs", "noise_dim": "noise dimension", "hidden_size": "width", "length": "letters a word"}


def draw(name: str, frame: pd.DataFrame, stem: Path, params: Params, logs: dict[str, Path] | None = None) -> None:
    """Write STEM.png and STEM.svg of a figure, equal bytes for equal data, of the first training seed.

    Args:
        name: figure02, figure03, figure05, frontier, factorization, dictionary, chain or training.
        frame: with the numbers that the figure shows.
        logs: train_log.csv by model, for training.

    Raises:
        UserError: the frame has no Gen-PPL of any VARIANT/RECIPE, which figure02 and frontier compare.
    """
    frame = first_seed(frame)
    with styled():
        if name == "training":
            draw_training({model: log for model, log in (logs or {}).items() if not parse_variant(model.partition("/")[0])[1]}, stem)
        elif name in ("figure03", "figure05"):
            _baselines(frame, stem, params, name)
        else:
            _DRAW[name](frame, stem)


def recipes_of(frame: pd.DataFrame) -> dict[str, list[str]]:
    """The variants of each recipe that is keyed or that several have (or of all, where none is), MDLM first, in the tables' order.

    Raises:
        UserError: there is no recipe.
    """
    models = select(frame, kind="samples", metric="gen_ppl")
    pairs = dict.fromkeys((recipe, variant) for recipe, variant in zip(models["recipe"], models["variant"], strict=True) if recipe)
    recipes = {recipe: [variant for name, variant in pairs if name == recipe] for recipe, _ in pairs}
    keyed = {recipe for recipe in recipes if (parts := parse_recipe(recipe)) and parts.keyed}
    shown = {recipe: variants for recipe, variants in recipes.items() if len(variants) > 1 or recipe in keyed} or recipes
    if not shown:
        raise UserError("tables.csv holds no gen_ppl of any VARIANT/RECIPE; name recipes in compare.recipes and run stage tabulate.")
    return {recipe: sorted(variants, key=lambda name: name != BASELINE) for recipe, variants in shown.items()}


def _of_paper(table: int, metric: str, **where: str) -> pd.DataFrame:
    """The paper's numbers over its step counts."""
    points = pd.DataFrame({"x": paper_steps(table), "value": [paper_value(table, metric, n, **where) for n in paper_steps(table)]})
    return points.dropna()


def _figure02(frame: pd.DataFrame, stem: Path) -> None:
    """A panel a recipe, this run above, the paper below where it has the recipe."""
    recipes, ours = recipes_of(frame), select(frame, kind="samples", metric="gen_ppl")
    real, tints = one(frame, kind="reference", metric="gen_ppl"), _tints(recipes)
    top, bottom = [], []
    for recipe, variants in recipes.items():
        lines, theirs = _of_recipe(ours, recipe, variants, tints), []
        for variant, line in zip(variants, lines[1:], strict=True):
            if named := paper_of(f"{variant}/{recipe}"):
                theirs.append(replace(line, label="", points=_of_paper(4, "gen_ppl", **named)))
        data = ("Real text", real.value, (0.03, 0.03)) if real else None
        top.append(Panel(lines, recipe_label(recipe), "", "" if top else "Gen-PPL, this run", log=True, data=data))
        bottom.append(Panel(theirs, "", STEPS, "" if bottom else "Gen-PPL, paper (LM1B)", log=True))
    draw_panels([top, bottom], stem, _size(recipes, 4.7), sharex=True, sharey="row", height_ratios=(1.6, 1))


def _of_recipe(frame: pd.DataFrame, recipe: str, variants: list[str], tints: list[str]) -> list[Line]:
    """The teacher and the variants of a recipe."""
    lines = [Line("Teacher", over(frame, model=TEACHER), GREY, dashes="--")]
    for name in variants:
        points = over(frame, model=f"{name}/{recipe}")
        lines.append(Line(NAMES.get(name, name), points, colour(name, tints), MARKERS.get(name, "D")))
    return lines


def _tints(recipes: dict[str, list[str]]) -> list[str]:
    return others(variant for variants in recipes.values() for variant in variants)


def _size(recipes: dict[str, list[str]], height: float) -> tuple[float, float]:
    return max(2.45 * len(recipes), 3.6), height


def _frontier(frame: pd.DataFrame, stem: Path) -> None:
    """Gen-PPL against entropy over temperatures: a panel a step count, a line a model; colour is the variant, mark the recipe."""
    recipes, points = recipes_of(frame), select(frame, kind="frontier")
    tints, looks = _tints(recipes), {TEACHER: ("Teacher", GREY, ".", "-")}
    for place, (recipe, variants) in enumerate(recipes.items()):
        mark, dashes = "so^Dv"[place % 5], ("-", "--", "-.", ":", "-")[place % 5]
        for variant in variants:
            label = f"{NAMES.get(variant, variant)}, {recipe_label(recipe)}"
            looks[f"{variant}/{recipe}"] = label, colour(variant, tints), mark, dashes
    real, aimed = one(frame, kind="reference", metric="gen_ppl"), select(frame, kind="equal_entropy", metric="entropy")
    panels = []
    for steps in sorted(points["steps"].unique()):
        targets = (one(aimed, target="teacher", steps=steps), "--"), (one(aimed, target="data", steps=None), ":")
        lines = [Line(label, _trade(select(points, model=model, steps=steps)), *look) for model, (label, *look) in looks.items()]
        panel = Panel(lines, _steps(steps), "entropy (nats)", "Gen-PPL", steps=False, log=True)
        marks = tuple((target.value, dashes) for target, dashes in targets if target)
        panels.append(replace(panel, marks=marks, data=("Real text", real.value, (0.03, 0.93)) if real else None))
    _draw_grid(panels, stem, 2.6, 2.5, 0.6, sharex=True)


def _trade(points: pd.DataFrame) -> pd.DataFrame:
    """Entropy as x and Gen-PPL as value, by temperature."""
    entropy, ppl = (select(points, metric=metric).set_index("temperature").sort_index() for metric in ("entropy", "gen_ppl"))
    return ppl[["value", "low", "high"]].assign(x=entropy["value"], x_low=entropy["low"], x_high=entropy["high"])


def _draw_grid(panels: list[Panel], stem: Path, width: float, height: float, legend: float, **layout: object) -> None:
    """Panels of a size in inches, three a line; the names of the axes stand at the left and at the bottom."""
    across = min(3, len(panels))
    panels = [replace(panel, y=panel.y if place % across == 0 else "") for place, panel in enumerate(panels)]
    grid = [panels[start : start + across] for start in range(0, len(panels), across)]
    draw_panels(grid, stem, (max(width * across, 3.6), height * len(grid) + legend), **layout)


def _baselines(frame: pd.DataFrame, stem: Path, params: Params, name: str) -> None:
    """Figures 3 and 5: three panels of this run and three of the paper."""
    small = name == "figure03"
    models, looks = baselines(params, di4c=small), {head: look for head, *look in _METHODS}
    heads = ["MDLM", "SDTT", *(["Di4C"] if len(models) == 4 else []), "IMDM"]
    panels = (("samples", "gen_ppl", "Unconditional Gen-PPL"), ("conditional", "gen_ppl", "Conditional Gen-PPL"))
    top, bottom = [], []
    for kind, metric, title in (*panels, ("conditional", "mauve", "Conditional MAUVE")):
        table = (6 if small else 9) + (kind == "conditional")
        setting = "unconditional" if kind == "samples" else "conditional (50-token prompt)"
        ours = {head: over(frame, kind=kind, model=model, metric=metric) for head, model in zip(heads, models, strict=True)}
        lines = [Line(head, points, *looks[head]) for head, points in ours.items()]
        theirs = [Line("", _of_paper(table, metric, method=head, setting=setting), *looks[head]) for head in heads]
        top.append(Panel(lines, title, "", "" if top else "this run", log=metric == "gen_ppl"))
        bottom.append(Panel(theirs, "", STEPS, "" if bottom else "paper (OpenWebText)", log=metric == "gen_ppl"))
    draw_panels([top, bottom], stem, (7.6, 4.9), sharex=True, height_ratios=(1.25, 1))


def _factorization(frame: pd.DataFrame, stem: Path) -> None:
    """A panel a recipe: MDLM, the variants at the largest number of noise draws, and the teacher's own."""
    errors = frame[frame["metric"].str.fullmatch(r"error_m\d+_nats_per_token")]
    draws = errors["metric"].str.extract(r"m(\d+)_", expand=False).astype(int)
    errors = errors[draws == draws.max()]
    recipes = {recipe: list(dict.fromkeys(part["variant"])) for recipe, part in errors.groupby("recipe", sort=False) if recipe}
    tints = _tints(recipes)
    panels = [Panel(_of_recipe(errors, *item, tints), recipe_label(item[0]), STEPS) for item in recipes.items()]
    panels[0] = replace(panels[0], y="factorization error (nats a token)")
    draw_panels([panels], stem, _size(recipes, 2.9), sharey=True, last=lambda axes: axes.set_ylim(bottom=0))


def _small_task(frame: pd.DataFrame, column: str, **wanted: object) -> list[Line]:
    """A line a model of a small task; `frame` has the means over seeds."""
    labels = {model: "Teacher" if model == TEACHER else name_of(model) for model in _LINES}
    lines = [Line(labels[model], over(frame, column, model=model, **wanted), *look) for model, look in _LINES.items()]
    return [line for line in lines if len(line.points)]


def _chain(frame: pd.DataFrame, stem: Path) -> None:
    """Bigram KL and NLL against sampling steps, a line a model, with the data's own values dotted."""
    means, panels = select(frame, kind="chain", seed=None), []
    for metric in ("bigram_kl_nats", "nll_nats"):
        data = one(means, model="data", metric=metric)
        lines = _small_task(means, "steps", metric=metric)
        panels.append(Panel(lines, "", STEPS, METRICS[metric], log=True, data=("Data", data.value, (0.03, 0.03))))
    draw_panels([panels], stem, (6.0, 2.8))


def _dictionary(frame: pd.DataFrame, stem: Path) -> None:
    """Validity against K for each step count, and in the fewest steps against each setting that was varied."""
    valid = select(frame, kind="dictionary", metric="validity_pct", seed=None)
    main, fewest = valid[valid["varied"] == ""], valid["steps"].min()
    letters = main.groupby("length")["words"].nunique().idxmax()
    panels = [
        Panel(_small_task(main, "words", length=letters, steps=n), f"{_steps(n)}, L={letters}", "words K", "valid samples (%)", share=True)
        for n in main["steps"].unique()
    ]
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
            panels.append(
                Panel(_small_task(varied, column), f"{_steps(fewest)}, K={count}: {words}", words, "valid samples (%)", share=True)
            )
    _draw_grid(panels, stem, 2.6, 2.3, 0.4, sharey=True)


def _steps(steps: int) -> str:
    return f"{steps} step{'s' if steps > 1 else ''}"


_DRAW = {"figure02": _figure02, "frontier": _frontier, "factorization": _factorization, "dictionary": _dictionary, "chain": _chain}
