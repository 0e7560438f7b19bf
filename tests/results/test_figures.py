"""Figures that a reader can read: nothing cut off, curves not pressed together, colours that are seen on white and on black."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import fake_run
from imdm.results import panels
from imdm.results.draw import draw, draw_training
from imdm.results.frame import read_frame


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that are drawn, in place of their files."""
    figures: list[Any] = []
    monkeypatch.setattr(panels, "finish", lambda figure, stem: figures.append(figure))
    return figures


@pytest.fixture
def drawn(kept: list[Any]) -> Callable[..., Any]:
    """Draws a figure, by its name or of training logs, and gives it."""

    def figure_of(shown: Any, *more: Any) -> Any:
        if isinstance(shown, str):
            draw(shown, *more, Path("unused"))
        else:
            draw_training(shown, Path("unused"), *more)
        return kept.pop()

    return figure_of


def tables(run: Path, *names: str) -> pd.DataFrame:
    return pd.concat([read_frame(run / "tables" / f"{name}.csv") for name in names], ignore_index=True)


def test_figures_are_deterministic(run, copy):
    assert fake_run.plot(copy) == 0 == fake_run.exhibit(copy, "figures/factorization.png")
    for stem in ("figure02", "training", "factorization"):
        for file in (f"figures/{stem}.png", f"figures/{stem}.svg"):
            assert (run / file).read_bytes() == (copy / file).read_bytes(), file


def test_baselines_stand_in_the_figures_that_have_them(run, drawn):
    labels = {}
    for name, sources in (("figure03", ("table06", "table07")), ("figure05", ("table09", "table10"))):
        figure = drawn(name, tables(run, *sources))
        labels[name] = {label for axes in figure.axes[:3] for label in axes.get_legend_handles_labels()[1]}
        assert all(len(axes.lines) >= 3 for axes in figure.axes)  # of the run above, of the paper below
    assert labels == {"figure03": {"MDLM", "SDTT", "Di4C", "IMDM"}, "figure05": {"MDLM", "SDTT", "IMDM"}}


def test_the_papers_values_stand_below(frame, drawn):
    panels = drawn("figure02", frame).axes
    redi = panels[len(panels) // 2 + 1].lines  # the second panel's
    assert [list(line.get_ydata()) for line in redi] == [[530.36, 195.39, 113.14, 85.27], [284.62, 151.89, 104.93, 81.57]]


def test_replicates_are_not_drawn(frame, drawn):
    more = frame.assign(value=1e6, replicate=1)
    both = pd.concat([frame, more.astype({"replicate": "Int64"})], ignore_index=True)
    assert max(axes.get_ylim()[1] for axes in drawn("figure02", both).axes) < 1e5


def test_training_leaves_out_what_was_loaded(run, tmp_path, drawn):
    loaded, log = tmp_path / "loaded.csv", run / "models/mdlm/sdtt1/train_log.csv"
    loaded.write_text(log.read_text().splitlines()[0] + "\n")
    assert [axes.get_title() for axes in drawn({"teacher": loaded}, 0).axes] == ["Nothing was trained"]
    assert [axes.get_title() for axes in drawn({"teacher": loaded, "mdlm/sdtt1": log}, 0).axes] == ["SDTT"]


def test_rounds_follow_one_another(run, drawn):
    logs = {f"mdlm/sdtt{n}": run / f"models/mdlm/sdtt{n}/train_log.csv" for n in (2, 1)}
    (axes,) = drawn(logs, 0).axes
    starts = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) > 2]
    assert sorted(set(starts)) == [10, 1010]


def test_no_curve_is_smoothed_across_the_warm_start(tmp_path, drawn):
    log = tmp_path / "train_log.csv"
    log.write_text("step,loss\n" + "".join(f"{step},{2 if step <= 300 else 5}\n" for step in range(10, 1010, 10)))
    (axes,) = drawn({"teacher": log}, 300).axes
    assert {value for line in axes.lines if len(line.get_xdata()) > 2 for value in line.get_ydata()} == {2, 5}
    assert axes.get_legend_handles_labels()[1] == ["Teacher"]


def test_every_error_is_inside_its_panel(run, drawn):
    errors = tables(run, "factorization")
    largest = errors[errors["metric"] == "error_m16_nats_per_token"]["value"].max()
    assert all(axes.get_ylim()[0] == 0 and axes.get_ylim()[1] > largest for axes in drawn("factorization", errors).axes)


@pytest.mark.parametrize(("level", "line"), [(1.0, True), (0.01, False)])
def test_real_text_far_below_is_told_in_words(frame, drawn, level, line):
    real = (frame["kind"] == "reference") & (frame["metric"] == "gen_ppl")
    moved = frame.assign(value=frame["value"].where(~real, frame["value"] * level))
    for name in ("figure02", "frontier"):
        tops = [axes for axes in drawn(name, moved).axes if axes.lines and axes.get_subplotspec().is_first_row()]
        lowest = min(min(curve.get_ydata()) for axes in tops for curve in axes.lines if len(curve.get_xdata()) >= 3)
        for axes in tops:
            assert any(curve.get_label() == "Real text" for curve in axes.lines) == line
            assert any(text.get_text().startswith("↓ Real text") for text in axes.texts) != line
            assert line or axes.get_ylim()[0] > lowest / 2


def luminance(code: str) -> float:
    """As WCAG has it."""
    parts = [int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("code", panels.OTHERS)
def test_colours_are_seen_in_light_and_dark(code):
    """Those of MDLM and IMDM change with the page; the others do not."""
    for paper in ("#fdfdfb", "#161715"):
        low, high = sorted((luminance(code), luminance(paper)))
        assert (high + 0.05) / (low + 0.05) > 2
    assert panels.OTHERS.count(code) == 1 and code not in panels.COLOURS.values()


@pytest.mark.parametrize("width", [5.2, 26])
def test_a_legend_is_no_wider_than_its_figure(width, kept):
    """For names as they are in the figures."""
    names = ["Judge", "MDLM", "IMDM", "imdm-gaussian", "imdm-d64", "IMDM, Rademacher noise, keyed distillation", "multimask", "Teacher"]
    with panels.panels(Path("unused"), 1, 1, (width, 3)) as ((axes,),):
        for name in names:
            axes.plot([0, 1], label=name)
    (figure,) = kept
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width
