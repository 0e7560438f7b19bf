"""Figures that a reader can read: nothing cut off, curves not pressed together, colours that are seen on white and on black."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import fake_run
from imdm.params import Params, load_params
from imdm.results import draw_training, panels, style
from imdm.results.draw import draw
from imdm.results.make import figure_frame
from imdm.results.plan import FIGURES, MAIN_FIGURES

Draw = Callable[[str, pd.DataFrame], Any]


@pytest.fixture(scope="module")
def params() -> Params:
    return load_params(fake_run.ROOT / "params.yaml")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, params: Params) -> Draw:
    """Draws a figure and gives it, in place of its files."""
    kept: list[Any] = []
    for module in (panels, draw_training):
        monkeypatch.setattr(module, "finish", lambda figure, stem: kept.append(figure))

    def draw_one(name: str, frame: pd.DataFrame) -> Any:
        draw(name, frame, Path("unused"), params)
        return kept.pop()

    return draw_one


def test_figures_are_there_and_deterministic(copy):
    files = {f"{name}.{suffix}" for name in MAIN_FIGURES for suffix in ("png", "svg")}
    found = []
    for _ in range(2):
        assert fake_run.plot(copy) == 0
        found.append({name: (copy / "figures" / name).read_bytes() for name in files})
    assert found[0] == found[1] and {path.name for path in (copy / "figures").iterdir()} == files | {"figure02.meta.json"}
    svg = (copy / "figures/figure02.svg").read_text()
    assert "SDTT (3 rounds) + ReDi" in svg and "dc:date" not in svg


@pytest.mark.parametrize("name", FIGURES)
def test_figures_that_stand_alone(run, params, tmp_path, name):
    frame = figure_frame(name, run, params)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        draw(name, frame, tmp_path / folder / name, params)
    assert all((tmp_path / "a" / f"{name}.{end}").read_bytes() == (tmp_path / "b" / f"{name}.{end}").read_bytes() for end in ("png", "svg"))


def test_baselines_stand_in_the_figures_that_have_them(run, params, drawn):
    labels = {}
    for name in ("figure03", "figure05"):
        figure = drawn(name, figure_frame(name, run, params))
        labels[name] = {label for axes in figure.axes[:3] for label in axes.get_legend_handles_labels()[1]}
        assert all(len(axes.lines) >= 3 for axes in figure.axes)  # of the run above, of the paper below
    assert labels == {"figure03": {"MDLM", "SDTT", "Di4C", "IMDM"}, "figure05": {"MDLM", "SDTT", "IMDM"}}


def test_replicates_are_not_drawn(frame, drawn):
    more = frame.assign(value=1e6, replicate=1)
    both = pd.concat([frame, more.astype({"replicate": "Int64"})], ignore_index=True)
    tops = [axes.get_ylim()[1] for data in (frame, both) for axes in drawn("figure02", data).axes]
    assert max(tops) < 1e5


def test_training_leaves_out_what_was_loaded(run, tmp_path, frame, params):
    header = (run / "models/teacher/train_log.csv").read_text().splitlines()[0] + "\n"
    (tmp_path / "loaded.csv").write_text(header)
    draw("training", frame, tmp_path / "none", params, {"teacher": tmp_path / "loaded.csv"})
    assert "Nothing was trained" in (tmp_path / "none.svg").read_text()
    logs = {"teacher": tmp_path / "loaded.csv", "mdlm/sdtt1": run / "models/mdlm/sdtt1/train_log.csv"}
    draw("training", frame, tmp_path / "some", params, logs)
    svg = (tmp_path / "some.svg").read_text()
    assert "SDTT" in svg and "Pretraining" not in svg and "sdtt" not in svg


def test_rounds_follow_one_another(run, frame, drawn, params, monkeypatch):
    kept: list[Any] = []
    monkeypatch.setattr(draw_training, "finish", lambda figure, stem: kept.append(figure))
    draw(
        "training",
        frame,
        Path("unused"),
        params,
        {f"mdlm/sdtt{n}": run / f"models/mdlm/sdtt{n}/train_log.csv" for n in (2, 1)},
    )
    (axes,) = kept[0].axes
    starts = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) > 2]
    assert sorted(set(starts)) == [10, 1010]


def test_every_error_is_inside_its_panel(run, params, drawn):
    errors = figure_frame("factorization", run, params)
    largest = errors[errors["metric"] == "error_m16_nats_per_token"]["value"].max()
    for axes in drawn("factorization", errors).axes:
        assert axes.get_ylim()[0] == 0 and axes.get_ylim()[1] > largest


@pytest.mark.parametrize(("level", "line"), [(1.0, True), (0.01, False)])
def test_real_text_far_below_is_told_in_words(frame, drawn, level, line):
    real = (frame["kind"] == "reference") & (frame["metric"] == "gen_ppl")
    moved = frame.assign(value=frame["value"].where(~real, frame["value"] * level))
    for name in ("figure02", "frontier"):
        figure = drawn(name, moved)
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


@pytest.mark.parametrize("width", [5.2, 7.8, 10.4, 26])
def test_a_legend_is_no_wider_than_its_figure(width):
    """For names as they are in the figures."""
    from matplotlib import pyplot

    names = ["Judge", "MDLM", "IMDM", "imdm-gaussian", "imdm-d64", "IMDM, Rademacher noise, keyed distillation", "multimask", "Teacher"]
    with style.styled():
        figure, axes = pyplot.subplots(figsize=(width, 3))
        for name in names:
            axes.plot([0, 1], label=name)
        style.legend(figure)
        figure.canvas.draw()
        box = figure.legends[0].get_window_extent()
        pyplot.close(figure)
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width
