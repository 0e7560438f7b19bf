"""The table of every metric: which of them a control fools, and how that is marked."""

from __future__ import annotations

import fake_run
from imdm.results.frame import frame_of
from imdm.results.scoreboard import fooled, quality
from imdm.results.summary import summary, verdict
from imdm.results.view import read_view

CONTROLS = ["Real text", "Other held-out text", "Shuffled held-out text", "5-gram model", "Periodic sampler"]


def test_a_metric_is_fooled_by_what_it_ranks_above_the_teacher(frame):
    """Teacher at 16 steps: Gen-PPL 124, MAUVE 0.89, entropy 2.90 where real text has 2.95, distinct 0.90 where that has 0.98."""
    expected = {"gen_ppl": ["periodic"], "mauve": ["5-gram"], "entropy": ["shuffled", "5-gram"], "distinct_4": ["shuffled", "5-gram"]}
    assert fooled(frame) == expected


def test_held_out_text_fools_nothing_and_without_a_teacher_nothing_is_fooled():
    def number(kind: str, model: str, value: float) -> dict[str, object]:
        return {"kind": kind, "model": model, "steps": 4 if kind == "samples" else None, "metric": "gen_ppl", "value": value}

    controls = [number("control", "held-out", 10.0), number("control", "5-gram", 50.0)]
    assert fooled(frame_of(controls)) == {}
    assert fooled(frame_of([*controls, number("samples", "teacher", 40.0)])) == {}
    assert fooled(frame_of([*controls, number("samples", "teacher", 60.0)])) == {"gen_ppl": ["5-gram"]}


def test_the_control_and_the_metric_are_marked(run):
    view = read_view(run / "tables/quality.json")
    lines = fake_run.cells(view)
    assert [line[0].text for line in view.body[:5]] == CONTROLS
    assert lines["Periodic sampler", "–"]["Gen-PPL †"].text == "30.00 [29.99, 30.01] †"
    assert lines["5-gram model", "–"]["Gen-PPL †"].mark == "" and lines["5-gram model", "–"]["MAUVE †"].mark == "disagree"
    assert lines["Real text", "–"]["Gen-PPL †"].text.startswith("40.90") and "JSD, bigrams" in view.columns
    assert ("IMDM: ReDi", "4") in lines and ("Teacher, not distilled", "16") in lines
    assert "above the teacher at 16 steps: Gen-PPL by Periodic sampler, Entropy (nats) by Shuffled held-out text and 5-gram" in view.caption


def test_the_verdict_names_them(frame):
    numbers = summary(frame)
    assert numbers["fooled"] == {"shuffled": 2, "5-gram": 3, "periodic": 1, "of": 5}
    assert any("5-gram model by 3 of 5 metrics" in sentence for sentence in verdict(numbers))


def test_without_controls_the_table_stands(frame):
    view = quality(frame[frame["kind"] != "control"])
    assert "MAUVE" in view.columns and "Fooled" not in view.caption


def test_another_system_stands_beside_controls_and_our_models(copy):
    own = ("--set", "external={theirs: {samples: theirs.npy, steps: 8}}")
    fake_run.scores(copy / "scores/external/theirs", "external/theirs", 5.0, counts=(8,))
    assert fake_run.exhibit(copy, "tables/scoreboard.csv", *own) == 0 == fake_run.tabulate(copy, *own)
    alone, beside = (read_view(copy / f"tables/{name}.json") for name in ("scoreboard", "quality"))
    assert [line[0].text for line in alone.body] == [*CONTROLS, "External: samples of theirs"]
    assert "Fooled" not in alone.caption and "'trained'" in alone.caption
    (line,) = (line for line in beside.body if line[0].text == "External: samples of theirs")
    assert line[1].text == "8" and line[2].text == alone.body[-1][2].text != "–"
    table04 = read_view(copy / "tables/table04.json")
    assert [line[1].text for line in table04.body if line[0].text == "Samples of theirs"] == ["8"]
