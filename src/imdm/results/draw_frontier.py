"""The frontier: Gen-PPL against entropy over temperatures."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from imdm.results.frame import one, select
from imdm.results.names import NAMES, TEACHER, recipe_label
from imdm.results.style import GREY, INK, colour, finish, level, log_values, others

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKS = tuple(zip("so^Dv", ("-", "--", "-.", ":", "-"), strict=True))  # of recipes


def draw_frontier(frame: pd.DataFrame, recipes: dict[str, list[str]], stem: Path) -> None:
    """Draw a panel a step count and a line a model: colour is the variant, mark the recipe.

    Args:
        recipes: the variants of each recipe that is shown.
    """
    from matplotlib import pyplot

    points = select(frame, kind="frontier")
    tints, counts = others(variant for variants in recipes.values() for variant in variants), sorted(points["steps"].unique())
    styles = {TEACHER: ("Teacher", {"color": GREY, "marker": "."})}
    for (recipe, variants), (mark, dashes) in zip(recipes.items(), itertools.cycle(_MARKS)):
        for variant in variants:
            style = {"color": colour(variant, tints), "marker": mark, "linestyle": dashes}
            styles[f"{variant}/{recipe}"] = f"{NAMES.get(variant, variant)}, {recipe_label(recipe)}", style
    across = min(3, len(counts))
    down = -(-len(counts) // across)
    figure, panels = pyplot.subplots(down, across, figsize=(max(2.6 * across, 3.6), 2.5 * down + 0.6), sharex=True, squeeze=False)
    for axes, steps in zip(panels.flat, counts, strict=False):
        for model, (label, style) in styles.items():
            _line(axes, select(points, model=model, steps=steps), label, style)
        _targets(axes, frame, steps)
        axes.set_title(f"{steps} step{'s' if steps > 1 else ''}")
        axes.xaxis.set_tick_params(labelbottom=True)
        log_values(axes)
    for axes in panels[:, 0]:
        axes.set_ylabel("Gen-PPL")
    for axes in panels.flat[max(0, len(counts) - across) : len(counts)]:
        axes.set_xlabel("entropy (nats)")
    for axes in panels.flat[len(counts) :]:
        axes.set_axis_off()
    finish(figure, stem)


def _line(axes: Axes, points: pd.DataFrame, label: str, style: dict[str, str]) -> None:
    """A model over temperatures, both values with their intervals."""
    entropy, ppl = (select(points, metric=metric).set_index("temperature").sort_index() for metric in ("entropy", "gen_ppl"))
    faint = {"color": style["color"], "linewidth": 0.5, "alpha": 0.6}
    axes.hlines(ppl["value"], entropy["low"], entropy["high"], **faint)
    axes.vlines(entropy["value"], ppl["low"], ppl["high"], **faint)
    axes.plot(entropy["value"], ppl["value"], linewidth=1.0, markersize=3.5, label=label, **style)


def _targets(axes: Axes, frame: pd.DataFrame, steps: int) -> None:
    """The entropies at which models are compared, and real text."""
    at_targets = select(frame, kind="equal_entropy", metric="entropy")
    for target, at_steps, dashes in (("teacher", steps, "--"), ("data", None, ":")):
        entropy = one(at_targets, target=target, steps=at_steps)
        if entropy:
            axes.axvline(entropy.value, color=INK, linewidth=0.7, linestyle=dashes)
    real = one(frame, kind="reference", metric="gen_ppl")
    if real:
        level(axes, real.value, "Real text", (0.03, 0.93))
