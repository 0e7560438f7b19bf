"""Figures 3 and 5: quality over sampling steps, unconditional and conditional, this run above the paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from imdm.exhibits.tables import Table
from imdm.report.rows import Row, select
from imdm.report.style import COLOURS, GREY, OTHERS, curve, grid, legend, log_steps, log_values, save, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIGURES = {"figure03": ("table06", "table07"), "figure05": ("table09", "table10")}  # unconditional, conditional
_PANELS = ((0, "gen_ppl", "Unconditional Gen-PPL"), (1, "gen_ppl", "Conditional Gen-PPL"), (1, "mauve", "Conditional MAUVE"))
_STYLES = {"MDLM": (GREY, "v"), "SDTT": (COLOURS["mdlm"], "o"), "Di4C": (OTHERS[0], "^"), "IMDM": (COLOURS["imdm"], "s")}


def draw(tables: list[tuple[Table, list[Row]]], stem: Path) -> None:
    """Draw three panels of this run and three of the paper.

    Args:
        tables: the unconditional and the conditional table with their rows, which hold the paper's numbers as well.
        stem: STEM.png and STEM.svg are written.
    """
    from matplotlib import pyplot

    with styled():
        figure, axes = pyplot.subplots(2, len(_PANELS), figsize=(7.6, 4.9), height_ratios=(1.25, 1), sharex=True)
        for column, (place, metric, title) in enumerate(_PANELS):
            table, rows = tables[place]
            for model in table.columns:
                _lines(axes[:, column], select(rows, setting=model.head, metric=metric), model.head)
            axes[0, column].set_title(title)
            axes[1, column].set_xlabel("sampling steps")
            for panel in axes[:, column]:
                log_steps(panel, sorted({row.steps for row in tables[0][1] + tables[1][1]}))
                grid(panel)
                if metric == "gen_ppl":
                    log_values(panel)
        axes[0, 0].set_ylabel("this run")
        axes[1, 0].set_ylabel("paper (OpenWebText)")
        legend(figure, axes[0])
        save(figure, stem)


def _lines(panels: list[Axes], rows: list[Row], head: str) -> None:
    tint, marker = _STYLES[head]
    curve(panels[0], [row for row in rows if row.value is not None], tint, marker=marker, label=head)
    theirs = sorted((row.steps, row.paper) for row in rows if row.paper is not None)
    panels[1].plot(*zip(*theirs), color=tint, marker=marker, markerfacecolor="none", linewidth=1.0, markersize=3.5, alpha=0.75)
