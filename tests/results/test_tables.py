"""Tables 1, 2, 4 and 5, from scores that the tests invent."""

from __future__ import annotations

import csv
import math
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import fake_run
from imdm.errors import UserError
from imdm.report.cells import Cell, View, paper_cell, value_cell
from imdm.report.equal_entropy_view import frontier
from imdm.report.names import recipe_label, setting_of
from imdm.report.paper import paper_rows, paper_steps, paper_value
from imdm.report.render import latex, main_table_text, markdown, parse_markdown
from imdm.report.rows import COLUMNS, Row, find, read_rows, select, write_rows
from imdm.report.show import main as show
from imdm.report.summary import ratios, sentences
from imdm.report.tables import paper_name, winner
from imdm.report.views import challenges, table04, table05


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_run.finished(tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def rows(run: Path) -> list[Row]:
    return read_rows(run / "tables" / "tables.csv")


@pytest.mark.parametrize(
    ("table", "metric", "steps", "where", "value"),
    [
        (4, "gen_ppl", 2, {"variant": "IMDM", "method": "SDTT+ReDi"}, 165.85),
        (4, "gen_ppl", 1, {"variant": "IMDM", "method": "ReDi"}, None),
        (4, "gen_ppl", 2, {"variant": "IMDM"}, None),  # of several
        (5, "entropy", 2, {"variant": "MDLM", "method": "ReDi"}, 4.29),
        (1, "factorization_error_nats", None, {"method": "IMDM"}, 0.082),
        (2, "P(token2=0)_pct", None, {"method": "IMDM", "setting": "noise=eps_B"}, 0.4),
        (12, "val_ppl", None, {"method": "IMDM"}, 31.69),
    ],
)
def test_paper_values(table, metric, steps, where, value):
    assert paper_value(table, metric, steps, **where) == value


def test_names_of_models_in_the_paper():
    assert paper_name("mdlm/sdtt3") == {"variant": "MDLM", "method": "SDTT"}
    assert paper_name("imdm/sdtt3-redi") == {"variant": "IMDM", "method": "SDTT+ReDi"}
    assert paper_name("imdm/redi") == {"variant": "IMDM", "method": "ReDi"}
    others = ("teacher", "imdm-gaussian/redi", "mdlm/sdtt3-di4c2", "imdm/scratch", "public/sdtt")
    assert [paper_name(model) for model in others] == [None] * 5


def test_paper_tables_are_complete():
    assert len(paper_rows()) == 383
    assert {int(row["table"]) for row in paper_rows()} == set(range(1, 15))
    assert paper_steps(4) == [2, 4, 8, 16] and paper_steps(6)[-1] == 64 and paper_steps(13) == []


def test_tidy_files_have_the_columns_and_come_back(run, rows, tmp_path):
    names = ("tables", "table01", "table02", "table04", "table05", "frontier", "audit", "agreement", "dictionary", "chain", "factorization")
    for name in names:
        with (run / "tables" / f"{name}.csv").open() as file:
            reader = csv.DictReader(file)
            assert tuple(reader.fieldnames) == COLUMNS and list(reader)
    tables = {"1", "2", "4", "5", "frontier", "quality", "audit", "agreement", "models", "dictionary", "chain", "factorization"}
    assert {row.table for row in rows} == tables
    write_rows(tmp_path / "again.csv", rows)
    assert read_rows(tmp_path / "again.csv") == rows


def test_synthetic_means_and_seeds(rows):
    mean = find(rows, table="1", model="imdm", metric="validity_pct", setting="mean of 5 seeds")
    assert (mean.value, mean.low, mean.high, mean.paper) == (pytest.approx(98.2), 98.0, 98.4, 97.7)
    seeds = [row for row in select(rows, table="1", model="imdm", metric="validity_pct") if row.setting.startswith("seed")]
    assert [row.value for row in seeds] == pytest.approx([98.0, 98.1, 98.2, 98.3, 98.4])
    assert (seeds[0].low, seeds[0].high) == pytest.approx((97.6, 98.4))
    assert find(rows, table="2", model="imdm", setting="noise A, mean of 5 seeds", metric="P(token2=0)_pct").paper == 100.0


def test_gen_ppl_rows_and_ratio(rows):
    ours, base = (find(rows, model=f"{v}/redi", metric="gen_ppl", steps=2) for v in ("imdm", "mdlm"))
    assert (ours.table, ours.setting, ours.paper, base.paper) == ("4", "ReDi", 284.62, 530.36)
    ratio = find(rows, model="imdm:mdlm/redi", metric="gen_ppl_ratio", steps=2)
    assert ratio.value == pytest.approx(ours.value / base.value)
    assert ratio.paper == pytest.approx(284.62 / 530.36)
    assert ratio.low < ratio.value < ratio.high < 1
    assert ratio.high / ratio.low < math.sqrt(ours.high / ours.low * base.high / base.low)  # paired, so narrower


@pytest.mark.parametrize(
    ("ours", "base", "result"),
    [((80, 90), (95, 99), "ours"), ((95, 99), (80, 90), "base"), ((80, 90), (90, 99), "tie"), ((80, 99), (85, 90), "tie")],
)
def test_winner_needs_intervals_apart(ours, base, result):
    first, second = (Row("4", "x", "", 1, "gen_ppl", sum(ends) / 2, *ends) for ends in (ours, base))
    assert winner(first, second) == result
    assert winner(first, None) == winner(replace(first, low=None), second) == ""


def test_table_says_where_imdm_wins_ties_and_loses(run, rows):
    verdicts = {(row[0].text, row[1].text): row[5].text for row in table04(rows).rows}
    assert {verdicts[label, "2"] for label in ("SDTT (3 rounds)",)} == {"tie"}
    assert verdicts["ReDi", "1"] == "IMDM" and verdicts["SDTT (3 rounds) + ReDi", "16"] == "MDLM"
    text = " ".join(sentences(rows))
    assert "IMDM is better in 5, worse in 5, and tied in 5" in text
    assert "SDTT (3 rounds) + ReDi: IMDM is worse at 1, 2, 4, 8 and 16 steps" in text
    assert "0.54 at 2" in text and "below the unigram's 180.4" in text
    marks = ["tie", "lose", "paper", "win", "win", "paper", "lose", "lose", "paper"]  # below each line at equal entropy, then the paper
    assert [row[1].mark for row in ratios(rows).rows] == marks
    written = (run / "tables" / "table04.md").read_text()
    assert "| ReDi | 2 |" in written and "| 284.62 |" in written and "ratios between models always" in written


def test_equal_entropy_stands_beside_gen_ppl(run, rows):
    """In the invented run ln Gen-PPL is 4 H + c: IMDM's c is lower by 0.35 for ReDi, and its H by 0.035."""
    view = table04(rows)
    lines = {(row[0].text, row[1].text): dict(zip(view.columns, row, strict=True)) for row in view.rows}
    line = lines["ReDi", "2"]
    ratio = line["ratio, equal entropy"]
    assert ratio.sort == pytest.approx(math.exp(-0.35 + 4 * 0.035), rel=0.03) and ratio.mark == "win" and "[" in ratio.text
    values = [line[f"{name}, equal entropy"].sort for name in ("IMDM", "MDLM")]
    assert ratio.sort == pytest.approx(values[0] / values[1])
    assert lines["SDTT (3 rounds)", "2"]["ratio, equal entropy"].mark == "lose"  # a tie at its own entropy
    heats = {row[0].text: [cell.sort for cell in row[4:6]] for row in table05(rows).rows if row[1].text == "2"}
    assert heats["ReDi"] == pytest.approx([math.exp(0.05 / 0.3), math.exp(0.085 / 0.3)])
    shown = {(row[0].text, row[1].text): row for row in frontier(rows).rows}
    assert (
        shown["Teacher, not distilled", "2"][3].sort
        == find(rows, model="teacher", setting="temperature 1", steps=2, metric="gen_ppl").value
    )
    assert shown["ReDi", "1"][7].text.startswith("> ")  # IMDM does not reach the data's entropy
    assert shown["ReDi", "1"][8].text == "–" and "0.7, 1, 1.4" in frontier(rows).caption
    text = " ".join(sentences(rows))
    assert "At equal entropy" in text and "ReDi: IMDM beats MDLM at 1, 2, 4, 8 and 16 steps (0.8" in text
    assert "at equal entropy" in main_table_text(rows)
    assert "[–" not in (run / "tables/frontier.tex").read_text() and "2.8" in (run / "tables/frontier.md").read_text()


def test_a_missing_frontier_names_the_stage(run, tmp_path, capsys):
    copy = tmp_path / "tiny"
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "frontier" / "imdm" / "redi")
    assert fake_run.tabulate(copy) == 2
    assert "run stages/frontier.py for imdm/redi" in capsys.readouterr().err
    shutil.copytree(run / "frontier" / "imdm" / "redi", copy / "frontier" / "imdm" / "redi")
    (copy / "reference" / "reference.safetensors").unlink()
    assert fake_run.tabulate(copy) == 2
    assert "reference.safetensors does not exist" in capsys.readouterr().err


def test_table04_holds_models_that_are_no_pair():
    extra = [Row("4", model, setting_of(model), 2, "gen_ppl", 50.0) for model in ("mdlm/sdtt3-di4c2", "public/sdtt", "imdm/scratch")]
    assert [group[2] for group in challenges(extra)] == ["SDTT (3 rounds) + Di4C (2 rounds)", "Public checkpoint sdtt", "From scratch"]
    shown = {row[0].text: [row[2].text, row[3].text] for row in table04(extra).rows}
    assert list(shown.values()) == [["50.00", "–"], ["50.00", "–"], ["–", "50.00"]]


def test_recipes_in_words():
    assert [recipe_label(name) for name in ("sdtt1", "redi", "sdtt7-redi")] == ["SDTT (1 round)", "ReDi", "SDTT (7 rounds) + ReDi"]


def test_cells_show_intervals_only_where_they_have_width():
    assert value_cell(Row("4", "", "", 1, "gen_ppl", 123.45, 120, 130)) == Cell("123.5 [120.0, 130.0]", 123.45)
    assert value_cell(Row("1", "", "", 1, "error_kl_nats", 0.5, 0.5, 0.5)).text == "0.5000"
    assert value_cell(Row("models", "", "", None, "parameters", 1234567)).text == "1,234,567"
    assert value_cell(Row("factorization", "", "", 1, "marginals_nats_per_token", -1e-5, -2e-4, 2e-3)).text == "0.000 [0.000, 0.002]"
    assert value_cell(None).text == "–"


def test_paper_cells_keep_the_digits_of_the_paper():
    cells = [
        paper_cell(Row("7", "", "", 2, metric, None, paper=value)).text
        for metric, value in (
            ("mauve", 0.062),
            ("mauve", 0.97),
            ("gen_ppl", 49.3),
            ("validity_pct", 50.0),
            ("error_valid_mass_nats", 0.082),
            ("gen_ppl_ratio", 284.62 / 530.36),
        )
    ]
    assert cells == ["0.062", "0.97", "49.30", "50.0", "0.082", "0.54"]


def test_markdown_comes_back():
    cells = [[Cell("a | b"), Cell("1,234 [1,200, 1,300]", 1234.0), Cell("2.5 †", 2.5, "disagree")], [Cell("x"), Cell("paper"), Cell("–")]]
    view = View("t", "Title", "What | stands below.", ["A | 1", "B", "C"], cells)
    again = parse_markdown(markdown(view), "t")
    assert (again.title, again.caption, again.columns) == (view.title, view.caption, view.columns)
    assert again.rows[0] == cells[0]
    assert [cell.text for cell in again.rows[1]] == ["x", "paper", "–"] and {cell.mark for cell in again.rows[1]} == {"paper"}


def test_markdown_is_rectangular(run):
    for name in ("table01", "table02", "table04", "table05", "frontier", "audit", "agreement"):
        lines = [line for line in (run / "tables" / f"{name}.md").read_text().splitlines() if line.startswith("|")]
        assert len(lines) > 3 and len({line.count("|") for line in lines}) == 1


def test_latex_is_escaped_and_balanced(run):
    view = View("x", "T", "a_b 5% & {#}", ["Name | n", "V~^\\"], [[Cell("a_1"), Cell("50%")], [Cell("a_1"), Cell("–")]])
    text = latex(view)
    assert r"a\_b 5\% \& \{\#\}" in text and r"V\textasciitilde{}\textasciicircum{}\textbackslash{}" in text and r"a\_1 & 50\%" in text
    assert r"Name \textbar{} n" in text and r"| Name \| n |" in markdown(view)
    for path in (run / "tables").glob("*.tex"):
        lines = [line for line in path.read_text().splitlines() if line.endswith(r"\\")]
        assert len({len(re.findall(r"(?<!\\)&", line)) for line in lines}) == 1
        assert path.read_text().count(r"\begin{") == path.read_text().count(r"\end{") == 2


def has_latex() -> bool:
    found = shutil.which("pdflatex") and shutil.which("kpsewhich")
    return bool(found) and subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True).returncode == 0


@pytest.mark.skipif(not has_latex(), reason="pdflatex with booktabs is not installed")
def test_latex_compiles(run, tmp_path):
    wide = View("wide", "W", "†", [f"column {i}" for i in range(14)], [[Cell("12.3 [11.1, 13.3] †")] * 14])
    tables = "\n".join([*(path.read_text() for path in sorted((run / "tables").glob("*.tex"))), latex(wide)])
    package = "\\usepackage{booktabs,graphicx}\\usepackage[landscape]{geometry}"
    (tmp_path / "a.tex").write_text(f"\\documentclass{{article}}{package}\\begin{{document}}\n{tables}\\end{{document}}\n")
    done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]


def test_show_prints_the_synthetic_task_alone(run, capsys, tmp_path):
    """As README.md says, after the synthetic task alone."""
    assert show([str(run / "synthetic" / "synthetic.json")]) == 0
    said = capsys.readouterr().out
    assert "Table 1. Synthetic task" in said and re.search(r"(?m)^IMDM +[\d.]+", said) and "noise B" in said
    (tmp_path / "synthetic.json").write_text("{}")
    assert show([str(tmp_path / "synthetic.json")]) == 2
    assert "must hold rows" in capsys.readouterr().err


def test_show_prints_the_main_table(run, rows, capsys):
    assert show([str(run / "tables" / "tables.csv")]) == 0
    text = capsys.readouterr().out
    assert main_table_text(rows) in text and str(run / "report.html") in text
    assert "Teacher, not distilled" in text and "own held-out perplexity 41.50" in text
    assert max(map(len, main_table_text(rows).splitlines())) <= 130
    assert show([str(run / "nothing.csv")]) == 2


def test_a_missing_score_names_the_stage(run, tmp_path, capsys):
    copy = tmp_path / "tiny"
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "scores" / "imdm" / "redi")
    assert fake_run.tabulate(copy) == 2
    message = capsys.readouterr().err
    assert "imdm/redi" in message and "stages/score.py" in message and message.count("\n") == 1
    (copy / "judge" / "judge.json").write_text("{}")
    (copy / "judge" / "meta.json").unlink()
    shutil.copytree(run / "scores" / "imdm" / "redi", copy / "scores" / "imdm" / "redi")
    assert fake_run.tabulate(copy) == 2
    assert "judge.json is not a result of stages/train_judge.py" in capsys.readouterr().err


def test_other_csv_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(UserError, match="must have the columns table, model"):
        read_rows(tmp_path / "a.csv")
