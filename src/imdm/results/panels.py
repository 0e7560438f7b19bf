"""The style of the figures: panels of lines in colours that stay apart for colour-blind readers and in grey print."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from imdm.results.frame import Number, select

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID, GREY = "#222222", "#dddddd", "#767676"  # the report's dark mode replaces these and COLOURS by its own
COLOURS = {"mdlm": "#0072b2", "imdm": "#d55e00"}  # after Okabe and Ito, as are the others
OTHERS = ("#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#b03a6e", "#8c8c2e", "#7b68c8", "#a0724a")  # seen on white and on black

_SETTINGS: dict[Any, Any] = {
    **{"font.family": "DejaVu Sans", "font.size": 8, "axes.titlesize": 9, "axes.labelsize": 8, "legend.fontsize": 8},
    **{"axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "axes.grid": True, "legend.frameon": False},
    **{"axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "ytick.minor.width": 0.4, "grid.linewidth": 0.5},
    **{"lines.linewidth": 1.4, "lines.markersize": 4.5, "grid.color": GRID, "savefig.facecolor": "white"},
    **{"figure.constrained_layout.use": True, "figure.constrained_layout.hspace": 0.06},
    **{"svg.fonttype": "none", "svg.hashsalt": "imdm"},  # text stays text, and ids don't change
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}


class Look(NamedTuple):
    """How a model's line is drawn; `label` is its name in the legend."""

    label: str
    colour: str
    marker: str = ""
    dashes: str = "-"


def tints(variants: Iterable[str]) -> dict[str, str]:
    """The colours of a figure's variants; those beside mdlm and imdm take theirs in alphabetical order."""
    others = sorted(set(variants) - set(COLOURS))
    return COLOURS | {variant: OTHERS[place % len(OTHERS)] for place, variant in enumerate(others)}


@contextmanager
def panels(stem: Path, rows: int, columns: int, size: tuple[float, float], **layout: Any) -> Iterator[Any]:
    """Axes [rows, columns] to draw in, without a display; at the end they get one legend, and STEM.png and STEM.svg are written.

    Args:
        size: width and height in inches.
        layout: of matplotlib's subplots.
    """
    import matplotlib

    matplotlib.use("Agg")
    with matplotlib.rc_context(_SETTINGS):
        from matplotlib import pyplot

        figure, places = pyplot.subplots(rows, columns, figsize=size, squeeze=False, **layout)
        yield places
        legend(figure)
        finish(figure, stem)


def finish(figure: Figure, stem: Path) -> None:
    """Write STEM.png and STEM.svg, or the one whose suffix `stem` has, equal bytes for equal data, and close the figure."""
    from matplotlib import pyplot

    if stem.suffix != ".svg":
        figure.savefig(stem.with_suffix(".png"), dpi=200)
    if stem.suffix != ".png":
        figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None, "Creator": None}, transparent=True)
    pyplot.close(figure)


def legend(figure: Figure) -> None:
    """One legend below all panels, each name once, models before what they are compared with."""
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        handles |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels()) if label not in handles}
    if handles:
        order = sorted(handles, key=lambda label: label in ("Teacher", "Real text"))
        letters, widths = figure.get_figwidth() * 14, [9 + len(label) for label in order]  # line and gap of a column as 9
        columns = len(order) if sum(widths) <= letters else max(1, int(letters / max(widths)))
        figure.legend([handles[label] for label in order], order, loc="outside lower center", ncols=columns, handlelength=2.4)


def over_steps(frame: pd.DataFrame, value: str = "value", **wanted: object) -> pd.DataFrame:
    """The selected numbers as points over step counts, ascending: x, value, low, high; `value` may be paper."""
    points = select(frame, **wanted).dropna(subset=["steps", value]).drop_duplicates("steps").sort_values("steps")
    return points.assign(x=points["steps"].astype(float), value=points[value])[["x", "value", "low", "high"]]


def curve(axes: Axes, points: pd.DataFrame, look: Look, paper: bool = False) -> None:
    """Draw a line through points with their intervals, also of x where there are x_low and x_high; the paper's hollow and without."""
    style: dict[str, Any] = {"color": look.colour, "marker": look.marker, "linestyle": look.dashes}
    if paper:
        axes.plot(points["x"], points["value"], markerfacecolor="none", linewidth=1.0, markersize=3.5, alpha=0.75, **style)
    elif "x_low" in points:
        faint: dict[str, Any] = {"color": look.colour, "linewidth": 0.5, "alpha": 0.6}
        axes.hlines(points["value"], points["x_low"], points["x_high"], **faint)
        axes.vlines(points["x"], points["low"], points["high"], **faint)
        axes.plot(points["x"], points["value"], linewidth=1.0, markersize=3.5, label=look.label, **style)
    elif len(points):
        value = points["value"]
        ends = [(value - points["low"]).fillna(0).clip(lower=0), (points["high"] - value).fillna(0).clip(lower=0)]
        axes.errorbar(points["x"], value, yerr=ends, capsize=2.2, elinewidth=0.9, label=look.label, **style)


def log_steps(axes: Axes, steps: Iterable[float]) -> None:
    """A log axis of step counts or other doublings, labelled at each of them alone."""
    from matplotlib.ticker import NullLocator

    steps = sorted({int(n) for n in steps})
    axes.set_xscale("log", base=2)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(steps, [str(n) for n in steps])
    axes.set_xlim(min(steps) / 1.25, max(steps) * 1.25)


def log_values(axes: Axes) -> None:
    """A log axis of values, whose labels are plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    subs = (1, 1.5, 2, 3, 4, 5, 6, 8) if high / low < 4 else (1, 2, 3, 5) if high / low < 12 else (1, 2, 5)
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=subs))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def real_text(axes: Axes, number: Number | None, height: float = 0.03) -> None:
    """A dotted line across a log panel, or words where it lies so far below that it would press the curves together.

    Args:
        number: Gen-PPL of real text; without it nothing is drawn.
        height: of the words, where no curve runs, as a share of the panel's.
    """
    if number is None or not number.value:
        return
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if number.value * 2 > low:
        axes.axhline(number.value, color=GREY, linewidth=0.8, linestyle=":", label="Real text")
        axes.set_ylim(min(low, number.value / 1.1), high)
    else:
        axes.text(0.03, height, f"\u2193 Real text: {number.value:.4g}", transform=axes.transAxes, color=GREY, fontsize=7)
