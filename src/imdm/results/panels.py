"""A figure as panels of lines: values with intervals over step counts, entropy or another setting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from imdm.results.frame import select
from imdm.results.style import GREY, INK, finish, level, log_steps, log_values

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Line:
    """One model in a panel.

    Attributes:
        points: columns x and value, with low and high where values have intervals, x_low and x_high where x has.
        label: its name in the legend; empty for the paper's numbers, which are drawn hollow.
    """

    label: str
    points: pd.DataFrame
    colour: str
    marker: str = ""
    dashes: str = "-"

    def draw(self, axes: Axes) -> None:
        """Draw the points, their intervals and the line through them."""
        points, style = self.points, {"color": self.colour, "marker": self.marker, "linestyle": self.dashes}
        if not self.label:
            axes.plot(points["x"], points["value"], markerfacecolor="none", linewidth=1.0, markersize=3.5, alpha=0.75, **style)
        elif "x_low" in points:
            faint = {"color": self.colour, "linewidth": 0.5, "alpha": 0.6}
            axes.hlines(points["value"], points["x_low"], points["x_high"], **faint)
            axes.vlines(points["x"], points["low"], points["high"], **faint)
            axes.plot(points["x"], points["value"], linewidth=1.0, markersize=3.5, label=self.label, **style)
        else:
            value, low, high = points["value"], points["low"].fillna(points["value"]), points["high"].fillna(points["value"])
            ends = [(value - low).clip(lower=0), (high - value).clip(lower=0)]
            axes.errorbar(points["x"], value, yerr=ends, capsize=2.2, elinewidth=0.9, label=self.label, **style)


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        x, y: names of the axes.
        steps: whether x are step counts or other doublings, on a log axis.
        log: whether the vertical axis is.
        share: whether values are percent.
        data: name, value and place (shares of the panel) of a dotted line, which may lie far below all curves.
        marks: (x, dashes) of vertical lines.
    """

    lines: list[Line]
    title: str = ""
    x: str = ""
    y: str = ""
    steps: bool = True
    log: bool = False
    share: bool = False
    data: tuple[str, float, tuple[float, float]] | None = None
    marks: tuple[tuple[float, str], ...] = ()

    @property
    def ticks(self) -> set[int]:
        return {int(x) for line in self.lines for x in line.points["x"]}


def over(frame: pd.DataFrame, column: str = "steps", **wanted: object) -> pd.DataFrame:
    """The numbers of a frame that have the wanted columns, as points over another column, ascending."""
    points = select(frame, **wanted).dropna(subset=[column, "value"]).drop_duplicates(column).sort_values(column)
    return points.rename(columns={column: "x"}).astype({"x": float})[["x", "value", "low", "high"]]


def draw_panels(
    grid: list[list[Panel]], stem: Path, size: tuple[float, float], last: Callable[[Axes], None] = lambda axes: None, **layout: object
) -> None:
    """Draw lines of panels and write STEM.png and STEM.svg.

    Args:
        grid: lines of panels, all but the last equally long.
        size: width and height in inches.
        last: called with every panel's axes when all is drawn.
        layout: sharex, sharey and height_ratios of matplotlib.
    """
    from matplotlib import pyplot

    figure, places = pyplot.subplots(len(grid), len(grid[0]), figsize=size, squeeze=False, **layout)
    drawn = [(axes, panel) for line, panels in zip(places, grid, strict=True) for axes, panel in zip(line, panels, strict=False)]
    for axes, panel in drawn:
        for line in panel.lines:
            line.draw(axes)
        for x, dashes in panel.marks:
            axes.axvline(x, color=INK, linewidth=0.7, linestyle=dashes)
        if not panel.lines:
            axes.text(0.5, 0.5, "not in the paper", transform=axes.transAxes, ha="center", va="center", color=GREY)
        axes.set(title=panel.title, xlabel=panel.x, ylabel=panel.y)
        axes.xaxis.set_tick_params(labelbottom=bool(panel.x))
    for axes, panel in drawn:  # what follows from the limits that all panels share
        if panel.data:
            level(axes, *panel.data)
        if panel.log:
            log_values(axes)
        if panel.share:
            axes.axhline(100, color=INK, linewidth=0.5, linestyle=":")
            axes.set_ylim(0, 104)
        if panel.steps:
            log_steps(axes, sorted(set().union(*(other.ticks for _, other in drawn)) if layout.get("sharex") else panel.ticks))
        last(axes)
    for axes in places.flat[len(drawn) :]:
        axes.set_axis_off()
    finish(figure, stem)
