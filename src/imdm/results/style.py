"""How figures look: colours that stay apart for colour-blind readers and in grey print, plain log axes, deterministic files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID, GREY = "#222222", "#dddddd", "#767676"  # the report's dark mode replaces these and COLOURS by its own
COLOURS = {"mdlm": "#0072b2", "imdm": "#d55e00"}  # after Okabe and Ito, as are the others
OTHERS = ("#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#b03a6e", "#8c8c2e", "#7b68c8", "#a0724a")  # seen on white and on black
MARKERS = {"mdlm": "o", "imdm": "s"}

_SETTINGS = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "ytick.minor.width": 0.4,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.hspace": 0.06,
    "svg.fonttype": "none",
    "svg.hashsalt": "imdm",
    "savefig.facecolor": "white",
} | {name: INK for name in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")}


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


def log_steps(axes: Axes, steps: list[int]) -> None:
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


def level(axes: Axes, name: str, value: float, place: tuple[float, float]) -> None:
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
