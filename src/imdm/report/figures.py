"""Figure 2 of the paper, Gen-PPL against entropy, and the training curves."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from imdm.errors import UserError
from imdm.params import parse_recipe, parse_variant
from imdm.report.equal_entropy import at
from imdm.report.names import BASELINE, NAMES, recipe_label
from imdm.report.paper import paper_steps, paper_value
from imdm.report.rows import Row, find, select
from imdm.report.seeds import first_seed
from imdm.report.style import COLOURS, GREY, INK, MARKERS, colour, curve, grid, legend, log_steps, log_values, reference, save, styled
from imdm.report.tables import paper_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CAPTIONS = {
    "figure02": "Figure 2. Gen-PPL against sampling steps, lower is better. Above: this run, with 95% intervals; below: the paper's values "
    "(LM1B, 170M parameters, GPT-2 Large), whose levels are not comparable with this run's.",
    "frontier": "Gen-PPL against entropy of the same samples, both with 95% intervals, a panel a step count: each line is one model "
    "over sampling temperatures, the lowest at its lower left end. Below and to the right is better; models compare fairly at one entropy "
    "alone. Dashed: the teacher's entropy as it is sampled at these steps; dotted: real text's entropy, and its Gen-PPL where it is near.",
    "figure03": "Figure 3. Quality over sampling steps of the teacher (MDLM), the baselines and IMDM, unconditional and conditional. "
    "Above: this run, with 95% intervals (MAUVE: one standard deviation over k-means seeds to either side); below: the paper's values "
    "(OpenWebText, 170M parameters, GPT-2 Large).",
    "figure05": "Figure 5. The same against the paper's 860M models.",
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


def recipes_of(rows: list[Row]) -> dict[str, list[str]]:
    """The variants of each recipe that is keyed or that several have (or of all, where none is), MDLM first, in the tables' order."""
    found: dict[str, list[str]] = {}
    for row in select(rows, table="4", metric="gen_ppl"):
        variant, _, recipe = row.model.partition("/")
        if recipe and variant not in found.setdefault(recipe, []):
            found[recipe].append(variant)
    keyed = {recipe for recipe in found if (parts := parse_recipe(recipe)) and parts.keyed}
    shown = {recipe: variants for recipe, variants in found.items() if len(variants) > 1 or recipe in keyed} or found
    return {recipe: sorted(variants, key=lambda name: (name != BASELINE, variants.index(name))) for recipe, variants in shown.items()}


def _others(recipes: dict[str, list[str]]) -> list[str]:
    return sorted({name for variants in recipes.values() for name in variants} - set(COLOURS))


def figure02(rows: list[Row], stem: Path) -> None:
    """Draw Figure 2: a panel a recipe, this run above, the paper below where it has the recipe.

    Raises:
        UserError: the rows hold no Gen-PPL of any recipe.
    """
    from matplotlib import pyplot

    recipes = recipes_of(rows)
    if not recipes:
        raise UserError("tables.csv holds no gen_ppl of any VARIANT/RECIPE; run stages/tabulate.py for a run that compares models.")
    others = _others(recipes)
    ours = select(rows, table="4", metric="gen_ppl")
    teacher = select(ours, model="teacher")
    real = find(ours, model="test text")
    steps = sorted({row.steps for row in ours if row.steps})
    figure, grid_axes = pyplot.subplots(
        2, len(recipes), figsize=(max(2.45 * len(recipes), 3.6), 4.7), height_ratios=(1.6, 1), sharex=True, sharey="row", squeeze=False
    )
    for column, (recipe, variants) in enumerate(recipes.items()):
        top, bottom = grid_axes[:, column]
        curve(top, teacher, GREY, linestyle="--", marker="", label="Teacher")
        for variant in variants:
            name = NAMES.get(variant, variant)
            tint, marker = colour(variant, others), MARKERS.get(variant, "D")
            curve(top, select(ours, model=f"{variant}/{recipe}"), tint, marker=marker, label=name)
            named = paper_name(f"{variant}/{recipe}")
            theirs = {n: paper_value(4, "gen_ppl", n, **named) for n in paper_steps(4)} if named else {}
            if theirs:
                style = {"markerfacecolor": "none", "linewidth": 1.0, "markersize": 3.5}
                bottom.plot(list(theirs), list(theirs.values()), color=tint, marker=marker, alpha=0.75, **style)
        if not bottom.lines:
            bottom.text(0.5, 0.5, "not in the paper", transform=bottom.transAxes, ha="center", va="center", color=GREY)
        top.set_title(select(ours, model=f"{variants[0]}/{recipe}")[0].setting)
        bottom.set_xlabel("sampling steps")
    reference(grid_axes[0], real, "Real text", (0.03, 0.03))
    _finish(grid_axes, sorted(set(steps) | set(paper_steps(4))))
    legend(figure, grid_axes[0])
    save(figure, stem)


def _finish(grid_axes: list[list[Axes]], steps: list[int]) -> None:
    grid_axes[0][0].set_ylabel("Gen-PPL, this run")
    grid_axes[1][0].set_ylabel("Gen-PPL, paper (LM1B)")
    for line in grid_axes:
        log_values(line[0])
        for axes in line:
            log_steps(axes, steps)
            grid(axes)


def frontier(rows: list[Row], stem: Path) -> None:
    """Draw Gen-PPL against entropy over temperatures, one panel a step count, one line a model: colour is the variant, mark the recipe."""
    from matplotlib import pyplot

    recipes, points = recipes_of(rows), [row for row in select(rows, table="frontier") if row.setting.startswith("temperature")]
    others, counts = _others(recipes), sorted({row.steps for row in points})
    names = {"teacher": ("Teacher", {"color": GREY, "marker": "."})}
    for (recipe, variants), (mark, dashes) in zip(recipes.items(), itertools.cycle(zip("so^Dv", ("-", "--", "-.", ":", "-"), strict=True))):
        for variant in variants:
            style = {"color": colour(variant, others), "marker": mark, "linestyle": dashes}
            names[f"{variant}/{recipe}"] = f"{NAMES.get(variant, variant)}, {recipe_label(recipe)}", style
    across = min(3, len(counts))
    down = -(-len(counts) // across)
    figure, panels = pyplot.subplots(down, across, figsize=(max(2.6 * across, 3.6), 2.5 * down + 0.6), sharex=True, squeeze=False)
    for axes, steps in itertools.zip_longest(panels.flat, counts):
        if steps is None:
            axes.set_axis_off()
            continue
        for model, (label, style) in names.items():
            _trade(axes, select(points, model=model, steps=steps), label, style)
        _targets(axes, rows, steps)
        axes.set_title(f"{steps} step{'s' if steps > 1 else ''}")
        axes.xaxis.set_tick_params(labelbottom=True)
        grid(axes)
        log_values(axes)
    for axes in panels[:, 0]:
        axes.set_ylabel("Gen-PPL")
    for axes in panels.flat[max(0, len(counts) - across) : len(counts)]:
        axes.set_xlabel("entropy (nats)")
    legend(figure, panels.flat)
    save(figure, stem)


def _trade(axes: Axes, points: list[Row], label: str, style: dict[str, str]) -> None:
    """A model over temperatures: rows of entropy and of Gen-PPL in the same order."""
    x, y = (select(points, metric=metric) for metric in ("entropy", "gen_ppl"))
    for entropy, ppl in zip(x, y, strict=True):
        axes.hlines(ppl.value, entropy.low, entropy.high, color=style["color"], linewidth=0.5, alpha=0.6)
        axes.vlines(entropy.value, ppl.low, ppl.high, color=style["color"], linewidth=0.5, alpha=0.6)
    axes.plot([row.value for row in x], [row.value for row in y], linewidth=1.0, markersize=3.5, label=label, **style)


def _targets(axes: Axes, rows: list[Row], steps: int) -> None:
    """The entropies at which models are compared, and real text."""
    for target, model, at_steps, dashes in (("teacher", "teacher", steps, "--"), ("data", "test text", None, ":")):
        row = at(rows, target, model, at_steps, "entropy")
        if row:
            axes.axvline(row.value, color=INK, linewidth=0.7, linestyle=dashes)
    reference([axes], find(rows, table="4", model="test text", metric="gen_ppl"), "Real text", (0.03, 0.93))


def draw_all(rows: list[Row], dictionary: Path, logs: dict[str, Path], folder: Path) -> None:
    """Write figure02, frontier, factorization, dictionary and chain, and training where there are logs, as PNG and SVG, of the first seed.

    Args:
        dictionary: dictionary.csv.
        logs: train_log.csv by model: teacher, judge, VARIANT/RECIPE.
    """
    from imdm.report.chain import draw_chain_task
    from imdm.report.dictionary import draw_dictionary
    from imdm.report.factorization import draw_factorization
    from imdm.report.training import training

    rows = first_seed(rows)
    logs = {model: log for model, log in logs.items() if not parse_variant(model.partition("/")[0])[1]}
    with styled():
        figure02(rows, folder / "figure02")
        frontier(rows, folder / "frontier")
        draw_factorization(rows, folder / "factorization")
        draw_dictionary(dictionary, folder / "dictionary")
        draw_chain_task(rows, folder / "chain")
        if logs:
            training(logs, folder / "training")
