"""Tables, figures and report.html, from scores that the tests invent."""

from __future__ import annotations

import csv
import math
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import fake_run
from imdm.errors import UserError
from imdm.report.paper import paper_rows, paper_value
from imdm.report.render import latex, main_table_text, markdown
from imdm.report.rows import COLUMNS, Row, find, read_rows, select, write_rows
from imdm.report.samples import BREAK, Speller, byte_of_character
from imdm.report.show import main as show
from imdm.report.summary import ratios, sentences
from imdm.report.tables import recipe_label, winner
from imdm.report.views import Cell, View, table04, value_cell


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fake run, tabulated, plotted and reported."""
    folder = fake_run.build(tmp_path_factory.mktemp("report"))
    assert [fake_run.tabulate(folder), fake_run.plot(folder), fake_run.report(folder)] == [0, 0, 0]
    return folder


@pytest.fixture(scope="module")
def rows(run: Path) -> list[Row]:
    return read_rows(run / "tables" / "tables.csv")


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return (run / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ((4, "imdm", "sdtt3-redi", 2, "gen_ppl"), 165.85),
        ((4, "mdlm", "sdtt7", 2, "gen_ppl"), 584.22),
        ((4, "imdm", "redi", 16, "gen_ppl"), 81.57),
        ((5, "mdlm", "redi", 2, "entropy"), 4.29),
        ((4, "imdm", "redi", 1, "gen_ppl"), None),
        ((4, "imdm-gaussian", "redi", 2, "gen_ppl"), None),
        ((1, "imdm", "", 1, "validity_pct"), 97.7),
        ((1, "imdm", "", 1, "error_valid_mass_nats"), 0.082),
        ((1, "imdm", "", 1, "error_kl_nats"), None),
        ((1, "random", "", 1, "validity_pct"), 50.0),
        ((2, "imdm", "noise B", 1, "P(token2=0)_pct"), 0.4),
        ((2, "mdm", "noise A", 1, "P(token1=0)_pct"), 49.7),
    ],
)
def test_paper_values(key, value):
    assert paper_value(*key) == value


def test_paper_tables_are_complete():
    assert len(paper_rows()) == 383
    assert {int(row["table"]) for row in paper_rows()} == set(range(1, 15))


def test_tidy_files_have_the_columns_and_come_back(run, rows, tmp_path):
    for name in ("tables", "table01", "table02", "table04", "table05"):
        with (run / "tables" / f"{name}.csv").open() as file:
            reader = csv.DictReader(file)
            assert tuple(reader.fieldnames) == COLUMNS and list(reader)
    assert {row.table for row in rows} == {"1", "2", "4", "5", "quality", "models"}
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
    assert [row[1].mark for row in ratios(rows).rows] == ["tie", "paper", "win", "paper", "lose", "paper"]
    written = (run / "tables" / "table04.md").read_text()
    assert "| ReDi | 2 |" in written and "| 284.62 |" in written and "levels are not comparable" in written


def test_recipes_in_words():
    assert [recipe_label(name) for name in ("sdtt1", "redi", "sdtt7-redi")] == ["SDTT (1 round)", "ReDi", "SDTT (7 rounds) + ReDi"]


def test_cells_show_intervals_only_where_they_have_width():
    assert value_cell(Row("4", "", "", 1, "gen_ppl", 123.45, 120, 130)) == Cell("123.5 [120.0, 130.0]", 123.45)
    assert value_cell(Row("1", "", "", 1, "error_kl_nats", 0.5, 0.5, 0.5)).text == "0.5000"
    assert value_cell(Row("models", "", "", None, "parameters", 1234567)).text == "1,234,567"
    assert value_cell(None).text == "–"


def test_markdown_is_rectangular(run):
    for name in ("table01", "table02", "table04", "table05"):
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
    tables = "\n".join(path.read_text() for path in sorted((run / "tables").glob("*.tex")))
    package = "\\usepackage{booktabs}\\usepackage[landscape]{geometry}"
    (tmp_path / "a.tex").write_text(f"\\documentclass{{article}}{package}\\begin{{document}}\n{tables}\\end{{document}}\n")
    done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]


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


def test_figures_are_there_and_deterministic(run, tmp_path):
    names = {"figure02", "frontier", "training"}
    assert {path.name for path in (run / "figures").iterdir()} == {f"{n}.{s}" for n in names for s in ("png", "svg")} | {"meta.json"}
    assert fake_run.stage("plot", "--tables", f"{run}/tables/tables.csv", "--out", f"{tmp_path}/figures") == 0
    assert not (tmp_path / "figures" / "training.svg").exists()  # no --logs
    for name in ("figure02.svg", "figure02.png", "frontier.svg"):
        assert (tmp_path / "figures" / name).read_bytes() == (run / "figures" / name).read_bytes()
    svg = (run / "figures" / "figure02.svg").read_text()
    assert "SDTT (3 rounds) + ReDi" in svg and "dc:date" not in svg


class Page(HTMLParser):
    """Collects tags, addresses and ids, and checks that what is opened is closed."""

    VOID = {"meta", "link", "input", "br", "path", "use", "rect"}

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.addresses, self.ids, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "data")]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_page_is_one_file_that_loads_nothing(page):
    parsed = Page(page)
    assert not parsed.open
    assert all(address.startswith(("#", "data:")) for address in parsed.addresses)
    assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttpRequest", page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert len(page.encode()) < 5e6
    assert parsed.tags.count("svg") == 3 and parsed.tags.count("table") == 8


def test_page_escapes_what_samples_and_parameters_hold(page):
    assert Page(page).tags.count("script") == 2  # the data and the code: none from a sample
    assert page.count("</script>") == 2
    assert "\\u003c" in page
    assert "alert(1)</script>" not in page


def test_page_tells_parameters_times_and_commands(page):
    for text in ("pretrain.steps", "corpus.vocab_size", "1 min 41 s", "largest process used", "2.13.0", "a" * 40):
        assert text in page
    assert "<pre>dvc repro</pre>" in page and "snakemake --profile slurm" in page and "python stages/sdtt.py" in page
    assert "arXiv 2605.10518" in page and "CC BY 4.0" in page


def test_report_refuses_samples_of_another_tokenizer(run, tmp_path, capsys):
    shutil.copytree(run.parents[1], tmp_path / "all")
    data = tmp_path / "all" / "data" / "pydocs"
    tokenizer, digest = fake_run.data(data)
    (data / "dataset.json").write_text((data / "dataset.json").read_text().replace(digest, "0" * 64))
    (data / "meta.json").unlink()
    assert fake_run.report(tmp_path / "all" / "results" / "tiny") == 2
    assert "tokenizer" in capsys.readouterr().err


def test_pieces_hold_whole_characters(run):
    from imdm.data.blocks import Dataset

    tokenizer = Dataset.open(run.parents[1] / "data" / "pydocs" / "dataset.json").tokenizer()
    text = "a é 日本 \U0001f600 <b>"
    ids = tokenizer.encode(text).ids
    pieces = Speller(tokenizer).pieces([0, *ids, 0], [-1, *range(len(ids)), 3])
    assert pieces[0] == (BREAK, -1) and pieces[-1] == (BREAK, 3)
    assert "".join(piece for piece, _ in pieces[1:-1]) == text
    emoji = tokenizer.encode("\U0001f600").ids
    assert len(emoji) == 4
    assert Speller(tokenizer).pieces(emoji, [1, 7, 0, 2]) == [("\U0001f600", 7)]  # whole when the last of its tokens is there
    cut = Speller(tokenizer).pieces([*emoji[:2], 0], [5, 2, 0])
    assert cut == [("\ufffd", 5), (BREAK, 0)]


def test_byte_alphabet_is_that_of_the_tokenizers_library():
    from tokenizers.pre_tokenizers import ByteLevel

    assert set(byte_of_character()) == set(ByteLevel.alphabet())
    assert sorted(byte_of_character().values()) == list(range(256))
    shown = ByteLevel(add_prefix_space=False).pre_tokenize_str("é\n")
    assert bytes(byte_of_character()[char] for word, _ in shown for char in word) == "é\n".encode()
