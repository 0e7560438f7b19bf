"""A figure as panels of lines, in colours that stay apart for colour-blind readers and in grey print, as files that don't change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from imdm.results.frame import select

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID, GREY = "#222222", "#dddddd", "#767676"  # the report's dark mode replaces these and COLOURS by its own
COLOURS = {"mdlm": "#0072b2", "imdm": "#d55e00"}  # after Okabe and Ito, as are the others
OTHERS = ("#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#b03a6e", "#8c8c2e", "#7b68c8", "#a0724a")  # seen on white and on black

_SETTINGS = {
    **{"font.family": "DejaVu Sans", "font.size": 8, "axes.titlesize": 9, "axes.labelsize": 8},
    **{"axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "axes.grid": True, "legend.frameon": False},
    **{"axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "ytick.minor.width": 0.4, "grid.linewidth": 0.5},
    **{"lines.linewidth": 1.4, "lines.markersize": 4.5, "grid.color": GRID, "savefig.facecolor": "white"},
    **{"figure.constrained_layout.use": True, "figure.constrained_layout.hspace": 0.06},
    **{"svg.fonttype": "none", "svg.hashsalt": "imdm"},  # text stays text, and ids don't change
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}


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


def over(frame: pd.DataFrame, column: str = "steps", value: str = "value", **wanted: object) -> pd.DataFrame:
    """The numbers of a frame that have the wanted columns, as points over another column, ascending; `value` may be paper."""
    points = select(frame, **wanted).dropna(subset=[column, value]).drop_duplicates(column).sort_values(column)
    return points.assign(value=points[value]).rename(columns={column: "x"}).astype({"x": float})[["x", "value", "low", "high"]]


@contextmanager
def styled() -> Iterator[None]:
    """Matplotlib without a display, in the style of these figures."""
    import matplotlib

    matplotlib.use("Agg")
    with matplotlib.rc_context(_SETTINGS):
        yield


def colour(variant: str, others: list[str]) -> str:
    """The colour of a variant; those beside mdlm and imdm take theirs by their place in `others`."""
    return COLOURS.get(variant) or OTHERS[others.index(variant) % len(OTHERS)]


def others(variants: Iterable[str]) -> list[str]:
    """The variants of a figure that have no colour of their own, in the order in which they take one."""
    return sorted(set(variants) - set(COLOURS))


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
            _level(axes, *panel.data)
        if panel.log:
            log_values(axes)
        if panel.share:
            axes.axhline(100, color=INK, linewidth=0.5, linestyle=":")
            axes.set_ylim(0, 104)
        if panel.steps:
            _log_steps(axes, sorted(set().union(*(other.ticks for _, other in drawn)) if layout.get("sharex") else panel.ticks))
        last(axes)
    for axes in places.flat[len(drawn) :]:
        axes.set_axis_off()
    finish(figure, stem)


def finish(figure: Figure, stem: Path) -> None:
    """Add the legend, write STEM.png and STEM.svg, equal bytes for equal data, and close the figure."""
    from matplotlib import pyplot

    legend(figure)
    figure.savefig(stem.with_suffix(".png"), dpi=200)
    figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None, "Creator": None}, transparent=True)
    pyplot.close(figure)


def legend(figure: Figure) -> None:
    """One legend below all panels, each name once, models before what they are compared with."""
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        order = sorted(handles, key=lambda label: label in ("Teacher", "Real text"))
        letters, widths = figure.get_figwidth() * 14, [9 + len(label) for label in order]  # line and gap of a column as 9
        columns = len(order) if sum(widths) <= letters else int(letters / max(widths))
        lines = [handles[label] for label in order]
        figure.legend(lines, order, loc="outside lower center", ncols=max(1, columns), fontsize=8, handlelength=2.4)


def _log_steps(axes: Axes, steps: list[int]) -> None:
    """A log axis of step counts, labelled at each of them alone."""
    from matplotlib.ticker import FixedLocator, NullLocator

    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(steps))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(steps, [str(n) for n in steps])
    axes.set_xlim(min(steps) / 1.25, max(steps) * 1.25)


def log_values(axes: Axes) -> None:
    """A log axis of values, whose labels are plain numbers, at 1, 2 and 5 in each decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    subs = (1, 1.5, 2, 3, 4, 5, 6, 8) if high / low < 4 else (1, 2, 3, 5) if high / low < 12 else (1, 2, 5)
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=subs))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _level(axes: Axes, name: str, value: float, place: tuple[float, float]) -> None:
    """A dotted line across a log panel, or words where it lies so far below that it would press the curves together.

    Args:
        place: of the words, where no curve runs, as shares of the panel's width and height.
    """
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if value * 2 > low:
        axes.axhline(value, color=GREY, linewidth=0.8, linestyle=":", label=name)
        axes.set_ylim(min(low, value / 1.1), high)
    else:
        axes.text(*place, f"\u2193 {name}: {value:.4g}", transform=axes.transAxes, color=GREY, fontsize=7)
