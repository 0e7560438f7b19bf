"""Figures that a reader can read: nothing cut off, curves not pressed together, colours that are seen on white and on black."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import fake_run
from imdm.report import factorization, figures, style
from imdm.report.rows import Row, read_rows


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    run = fake_run.build(tmp_path_factory.mktemp("figures"))
    assert fake_run.tabulate(run) == 0
    return read_rows(run / "tables" / "tables.csv")


@pytest.fixture
def drawn(monkeypatch) -> list[Any]:
    """The figures that were drawn, in place of their files."""
    kept: list[Any] = []
    for module in (factorization, figures):
        monkeypatch.setattr(module, "save", lambda figure, stem: kept.append(figure))
    return kept


def test_every_error_is_inside_its_panel(rows, drawn):
    with style.styled():
        factorization.draw_factorization(rows, Path("unused"))
    (figure,) = drawn
    largest = max(row.value for row in rows if row.table == "factorization" and row.metric == "error_m16_nats_per_token")
    for axes in figure.axes:
        assert axes.get_ylim()[0] == 0 and axes.get_ylim()[1] > largest


@pytest.mark.parametrize(("level", "line"), [(1.0, True), (0.01, False)])
def test_real_text_far_below_is_told_in_words(rows, drawn, level, line):
    moved = [replace(row, value=row.value * level) if (row.table, row.model) == ("4", "test text") else row for row in rows]
    with style.styled():
        figures.figure02(moved, Path("unused"))
        figures.frontier(moved, Path("unused"))
    for figure in drawn:
        panels = [axes for axes in figure.axes if axes.lines and axes.get_subplotspec().is_first_row()]
        lowest = min(min(curve.get_ydata()) for axes in panels for curve in axes.lines if len(curve.get_xdata()) >= 3)
        for axes in panels:
            assert any(curve.get_label() == "Real text" for curve in axes.lines) == line
            assert any(text.get_text().startswith("↓ Real text") for text in axes.texts) != line
            assert line or axes.get_ylim()[0] > lowest / 2


def luminance(code: str) -> float:
    """As WCAG has it."""
    parts = [int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("code", style.OTHERS)
def test_colours_are_seen_in_light_and_dark(code):
    """Those of MDLM and IMDM change with the page; the others do not."""
    for paper in ("#fdfdfb", "#161715"):
        low, high = sorted((luminance(code), luminance(paper)))
        assert (high + 0.05) / (low + 0.05) > 2
    assert style.OTHERS.count(code) == 1 and code not in style.COLOURS.values()


def test_legend_takes_as_many_columns_as_fit():
    """Measured, for names as they are in the figures: as wide as the figure allows, and no wider."""
    from matplotlib import pyplot

    names = ["Judge", "MDLM", "IMDM", "imdm-gaussian", "imdm-d64", "IMDM, Rademacher noise, keyed distillation", "multimask", "Teacher"]
    for width, rows in ((2.6, 8), (7.8, 2), (10.4, 2), (26, 1)):
        with style.styled():
            figure, axes = pyplot.subplots(figsize=(width, 3))
            for name in names:
                axes.plot([0, 1], label=name)
            style.legend(figure, [axes])
            figure.canvas.draw()
            box = figure.legends[0].get_window_extent()
            pyplot.close(figure)
        assert width < 5 or (box.x0 >= 0 and box.x1 <= figure.bbox.width), width
        assert -(-len(names) // figure.legends[0]._ncols) == rows
