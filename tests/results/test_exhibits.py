"""The paper's other tables and figures, and those beyond it, of a run that the tests invent."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

import fake_run
from imdm.params import load_params
from imdm.results import plan
from imdm.results.compare import contrary
from imdm.results.frame import RATIO, decided, frame_of, lines, one, read_frame, select
from imdm.results.paper import paper_numbers
from imdm.results.summary import summary
from imdm.results.table import digits
from imdm.results.view import NONE, Cell, View, read_view

TABLES = [f"table{number:02}" for number in (3, *range(6, 15))]


def view_of(run: Path, name: str) -> View:
    return read_view(run / "tables" / f"{name}.json")


def cell(view: View, *line: str, column: str) -> Cell:
    """That of the line that starts with the given names."""
    (cells,) = (cells for cells in view.body if [cell.text for cell in cells[: len(line)]] == list(line))
    return cells[view.columns.index(column)]


@pytest.mark.parametrize(
    ("name", "line", "column", "text"),
    [
        ("table03", ("2", "Gen-PPL", "paper"), "Dimension 64 (paper 256)", "294.41"),
        ("table03", ("2", "Entropy (nats)", "paper"), "Dimension 64 (paper 256)", "4.20"),
        ("table03", ("16", "Gen-PPL", "paper"), "Scale 0.5", "52.99"),
        ("table03", ("8", "Gen-PPL", "paper"), "Gaussian", "67.98"),
        ("table06", ("4", "paper"), "Di4C: Gen-PPL", "236.27"),
        ("table06", ("64", "paper"), "IMDM: Entropy (nats)", "5.18"),
        ("table07", ("8", "paper"), "SDTT: MAUVE", "0.965"),
        ("table08", ("8", "paper"), "Dimension 512 (paper 1536)", "4.21"),
        ("table09", ("32", "paper"), "IMDM: Gen-PPL", "13.95"),
        ("table09", ("32", "paper"), "IMDM at SDTT's entropy: Gen-PPL", "16.90"),
        ("table10", ("2", "paper"), "IMDM: MAUVE", "0.87"),
        ("table11", ("2", "Gen-PPL", "paper"), "1408 masks (paper 6144)", "208.72"),
        ("table12", ("IMDM", "paper"), "Val PPL", "31.69"),
        ("table12", ("MDLM", "paper"), "Gen-PPL", "114.95"),
        ("table13", ("paper",), "IMDM-ft", "30.91"),
        ("table14", ("2", "paper"), "Dimension 64 (paper 768): Gen-PPL", "632.41"),
    ],
)
def test_the_papers_numbers_stand_in_their_cells(run, name, line, column, text):
    assert cell(view_of(run, name), *line, column=column).text == text


@pytest.mark.parametrize("name", TABLES)
def test_every_number_of_the_papers_table_is_there_once(run, name):
    table = int(name.removeprefix("table"))
    paper = paper_numbers()[paper_numbers()["table"] == table]
    stepped = paper["steps"].notna().any()
    ours = read_frame(run / "tables" / f"{name}.csv")
    ours = ours[ours["paper"].notna() & (ours["metric"] != RATIO)]
    ours = ours[~((ours["metric"] == "entropy") & (table == 3))]  # of Table 8
    shown, wanted = (
        Counter((None if pd.isna(n) or not stepped else int(n), metric, value) for n, metric, value in part.itertuples(index=False))
        for part in (ours[["steps", "metric", "paper"]], paper[["steps", "metric", "value"]])
    )
    assert shown == wanted


@pytest.mark.parametrize("name", TABLES)
def test_frame_and_table_agree(run, name):
    frame, view = read_frame(run / "tables" / f"{name}.csv"), view_of(run, name)
    shown = Counter(c.text.split(" ")[0] for line in view.body if any(c.text == "this run" for c in line) for c in line if "." in c.text)
    assert shown == Counter(digits(row.value, row.metric) for row in lines(frame) if row.value is not None and row.metric != RATIO)


def test_values_are_those_of_the_scores(run):
    scored = json.loads((run / "conditional" / "scores" / "mdlm" / "sdtt3" / "scores.json").read_text())["rows"]
    wanted = next(row for row in scored if (row["steps"], row["metric"]) == (4, "gen_ppl"))
    row = one(read_frame(run / "tables" / "table07.csv"), setting="SDTT", steps=4, metric="gen_ppl")
    assert (row.kind, row.model, row.paper) == ("conditional", "mdlm/sdtt3", 117.19)
    assert (row.value, row.low, row.high) == pytest.approx((wanted["value"], wanted["low"], wanted["high"]))
    matched = one(read_frame(run / "tables" / "table09.csv"), setting="IMDM at SDTT's entropy", steps=16, metric="temperature")
    assert matched.value == pytest.approx(1.16)
    last = one(read_frame(run / "tables" / "table12.csv"), setting="IMDM", metric="gen_ppl")
    assert (last.kind, last.model, last.steps, last.paper) == ("at32", "imdm/scratch", 32, 116.37)  # not the largest of sampling.steps
    validated = one(read_frame(run / "tables" / "table13.csv"), setting="MDLM-ft", metric="val_ppl")
    assert (validated.model, validated.value, validated.low) == ("mdlm/finetune", 60.0, pytest.approx(58.9))


def test_step_counts_of_one_side_alone_have_dashes(run):
    view = view_of(run, "table06")
    assert cell(view, "1", "paper", column="SDTT: Gen-PPL").text == cell(view, "64", "this run", column="SDTT: Gen-PPL").text == NONE
    assert cell(view, "1", "this run", column="SDTT: Gen-PPL").text.startswith("198.3 [")


@pytest.mark.parametrize(
    ("low", "high", "paper", "marked"),
    [
        (0.8, 0.9, 2.0, True),
        (1.1, 1.2, 0.5, True),
        (0.8, 0.9, 0.5, False),  # as in the paper
        (0.8, 1.1, 2.0, False),  # not decided
        (0.8, 0.9, 1.0, False),  # no order there
        (0.8, 0.9, None, False),
        (None, None, 2.0, False),  # no sample in common
    ],
)
def test_what_disagrees_with_the_paper(low, high, paper, marked):
    about = {"kind": "samples", "model": "mdlm/sdtt3", "against": "imdm/redi", "metric": RATIO, "value": 1.0}
    assert contrary(next(lines(frame_of([about | {"low": low, "high": high, "paper": paper}])))) == marked
    assert not contrary(None)


def test_disagreement_is_marked_and_explained(run):
    frame, view = read_frame(run / "tables" / "table03.csv"), view_of(run, "table03")
    marked = {(row.setting, str(row.steps)) for row in lines(select(frame, metric=RATIO)) if contrary(row)}
    shown = {(head, line[0].text) for line in view.body for head, cell in zip(view.columns, line, strict=True) if cell.mark == "disagree"}
    assert marked == shown != set() and all(cell.text.endswith("†") for line in view.body for cell in line if cell.mark == "disagree")
    assert "†" in view.caption and "†" not in view_of(run, "table13").caption  # no single texts, so nothing is decided


def test_conditional_ratios_draw_whole_prompts(run):
    """With the completions of a prompt drawn one by one, the interval would be another."""
    row = one(read_frame(run / "tables" / "table07.csv"), setting="SDTT", steps=4, metric=RATIO)
    assert (row.model, row.against) == ("mdlm/sdtt3", "imdm/sdtt3-redi") and decided(row) == "base" and row.low < row.value < row.high


def test_di4c_may_be_left_out(copy, capsys):
    assert fake_run.exhibit(copy, "table06", "--set", "paper.di4c=null") == 0
    assert not any("Di4C" in name for name in view_of(copy, "table06").columns)
    assert fake_run.exhibit(copy, "figure10", "--set", "paper.di4c=null") == 2
    assert "give paper.di4c" in capsys.readouterr().err


def test_a_public_file_that_is_missing_leaves_out_its_rows_and_says_so(copy, capsys):
    missing = ("--set", "public={di4c: {checkpoint: ./none.ckpt}}", "--set", "paper.di4c=public/di4c")
    assert fake_run.exhibit(copy, "table06", *missing) == 0
    view = view_of(copy, "table06")
    assert not any(name.startswith("Di4C") for name in view.columns) and "./none.ckpt" in view.caption
    assert fake_run.exhibit(copy, "figure10", *missing) == 2
    assert "./none.ckpt" in capsys.readouterr().err
    assert fake_run.report(copy, *missing, page="paper") == 0
    page = (copy / "paper.html").read_text(encoding="utf-8")
    assert "figures/figure11.html is left out" in page and 'id="figure12"' not in page


@pytest.mark.parametrize("file", ["tables/table04.csv", "figures/figure02.png", "tables/table15.csv"])
def test_what_does_not_stand_alone_is_refused(run, capsys, file):
    assert fake_run.exhibit(run, file) == 2
    assert "no table or figure that stands alone" in capsys.readouterr().err


def test_the_plan_names_files_of_every_exhibit(run):
    params = load_params(fake_run.ROOT / "params.yaml")
    for file in plan.exhibits(params, "paper") + plan.exhibits(params, "extras"):
        assert all((run / name).exists() for name in plan.files(params, file))


# Beyond the paper


def test_what_copies_depend_on_is_named(run):
    frame, view = read_frame(run / "tables" / "copies.csv"), view_of(run, "copies")
    row = one(frame, model="imdm/sdtt3-redi", couplings="imdm/sdtt3", steps=2, metric="in_couplings_8_pct")
    assert row.value == 0.75
    assert set(select(frame, couplings="imdm/sdtt3")["model"]) == {"imdm/sdtt3-redi", "teacher", "test text"}
    assert not frame.drop(columns=["value", "low", "high"]).duplicated().any()
    line = ("IMDM: SDTT (3 rounds)", "IMDM: SDTT (3 rounds) + ReDi", "2")
    assert cell(view, *line, column="8-grams in couplings (%)").sort == 0.75
    trained = one(frame, model=row.model, steps=2, metric="in_train_8_pct")
    assert cell(view, *line, column="8-grams in training text (%)").sort == trained.value


def test_pairs_are_of_a_model_and_its_couplings(run):
    frame = read_frame(run / "tables" / "pairs.csv")
    gap = one(frame, model="imdm/redi", couplings="teacher", metric="pair_gap")
    assert (gap.value, gap.steps) == (3.0, None) and one(frame, model="teacher", couplings="imdm/redi") is None


def test_the_factorization_error_is_compared_in_pairs(run):
    frame, view = read_frame(run / "tables" / "factorization.csv"), view_of(run, "factorization")
    row = one(frame, kind="factorization", model="imdm/redi", metric="error_difference_nats_per_token", steps=2)
    assert row.against == "mdlm/redi" and row.value == pytest.approx(0.35 / 2) and row.high - row.low < 1e-6  # the draws are common
    assert cell(view, "IMDM: ReDi", "2", column="Minus MDLM's").mark == "lose"
    assert cell(view, "IMDM: ReDi", "2", column="Gen-PPL lower").text == "IMDM"


def test_dilated_samples_stand_beside_the_runs_own_and_beside_their_baselines(run):
    frame, view = read_frame(run / "tables" / "unmasking.csv"), view_of(run, "unmasking")
    own = one(frame, kind="dilated", model="mdlm/redi", against="mdlm/redi", metric=RATIO, steps=2)
    assert own.value == pytest.approx(math.exp(-0.2), rel=1e-6) and own.low == own.high == pytest.approx(own.value)  # the same draws
    base = one(frame, kind="dilated", model="imdm/redi", against="mdlm/redi", metric=RATIO, steps=2)
    values = {model: one(frame, kind="dilated", model=model, metric="gen_ppl", steps=2).value for model in ("imdm/redi", "mdlm/redi")}
    assert base.value == pytest.approx(values["imdm/redi"] / values["mdlm/redi"]) and base.high < 1
    main = read_frame(run / "tables" / "tables.csv")
    assert summary(main)["dilated"] == {str(n): one(main, kind="dilated", model="teacher", metric="gen_ppl", steps=n).value for n in (2, 4)}
    shown = [cell(view, "IMDM: ReDi", "2", column=head) for head in ("Dilated / as the run", "Dilated / its baseline")]
    assert [one.mark for one in shown] == ["win", "win"] and shown[1].sort == pytest.approx(base.value)
