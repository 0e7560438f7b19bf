"""A figure as panels of lines: values with intervals over step counts, or over another setting of a model."""

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
        points: columns x, value, and low and high where they have intervals.
        of_paper: whether they are the paper's, drawn hollow and without a name in the legend.
    """

    label: str
    points: pd.DataFrame
    colour: str
    marker: str = ""
    dashes: str = "-"
    of_paper: bool = False

    def draw(self, axes: Axes) -> None:
        """Draw the points, their intervals and the line through them."""
        points, style = self.points.sort_values("x"), {"color": self.colour, "marker": self.marker, "linestyle": self.dashes}
        if self.of_paper:
            axes.plot(points["x"], points["value"], markerfacecolor="none", linewidth=1.0, markersize=3.5, alpha=0.75, **style)
            return
        ends = [(sign * (points[end].fillna(points["value"]) - points["value"])).clip(lower=0) for sign, end in ((-1, "low"), (1, "high"))]
        axes.errorbar(points["x"], points["value"], yerr=ends, capsize=2.2, elinewidth=0.9, label=self.label, **style)


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        x, y: names of the axes; of panels that share the vertical axis the first alone has one.
        log: whether the vertical axis is.
        data: name and value of a dotted line, which may lie far below all curves.
        limits: of the vertical axis, for values that are shares; the upper end is drawn as a line.
    """

    lines: list[Line]
    title: str = ""
    x: str = ""
    y: str = ""
    log: bool = False
    data: tuple[str, float] | None = None
    share: bool = False


def over(frame: pd.DataFrame, column: str = "steps", **wanted: object) -> pd.DataFrame:
    """The numbers of a frame that have the wanted columns, as points over another column."""
    points = select(frame, **wanted).dropna(subset=[column, "value"]).drop_duplicates(column)
    return points.rename(columns={column: "x"}).astype({"x": float})[["x", "value", "low", "high"]]


def draw_panels(
    grid: list[list[Panel]],
    stem: Path,
    size: tuple[float, float],
    share_x: bool = False,
    share_y: bool | str = False,
    heights: tuple[float, ...] | None = None,
    last: Callable[[Axes], None] = lambda axes: None,
) -> None:
    """Draw lines of panels and write STEM.png and STEM.svg.

    Args:
        grid: lines of panels, all but the last equally long.
        size: width and height in inches.
        share_x: whether all panels have the same ticks.
        share_y: as matplotlib has it.
        heights: of the lines, relative to each other.
        last: called with every panel's axes when all is drawn.
    """
    from matplotlib import pyplot

    across = len(grid[0])
    figure, places = pyplot.subplots(len(grid), across, figsize=size, sharex=share_x, sharey=share_y, height_ratios=heights, squeeze=False)
    drawn = [(axes, panel) for line, panels in zip(places, grid, strict=True) for axes, panel in zip(line, panels, strict=False)]
    for axes, panel in drawn:
        for line in panel.lines:
            line.draw(axes)
        if not panel.lines:
            axes.text(0.5, 0.5, "not in the paper", transform=axes.transAxes, ha="center", va="center", color=GREY)
        axes.set(title=panel.title, xlabel=panel.x, ylabel=panel.y)
    every = sorted({int(x) for _, panel in drawn for line in panel.lines for x in line.points["x"]})
    for axes, panel in drawn:
        if panel.data:
            level(axes, panel.data[1], panel.data[0], (0.03, 0.03))
        if panel.log:
            log_values(axes)
        if panel.share:
            axes.axhline(100, color=INK, linewidth=0.5, linestyle=":")
            axes.set_ylim(0, 104)
        log_steps(axes, every if share_x else sorted({int(x) for line in panel.lines for x in line.points["x"]}))
        last(axes)
    for axes in places.flat[len(drawn) :]:
        axes.set_axis_off()
    finish(figure, stem)
