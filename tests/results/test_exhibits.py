"""The paper's other tables and figures, of a run that the tests invent; the paper's numbers are checked against its text."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

import fake_run
from html_page import Page
from imdm.exhibits.build import contrary
from imdm.exhibits.plan import PAGES, needs, target
from imdm.params import load_params
from imdm.report.cells import NONE, View, number
from imdm.report.names import MAIN
from imdm.report.paper import paper_rows
from imdm.report.render import parse_markdown
from imdm.report.rows import Row, find, read_rows

TABLES = [f"table{number:02}" for number in (3, *range(6, 15))]
FIGURES = ["figure03", "figure05"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fake run with every exhibit, and the report."""
    folder = fake_run.build(tmp_path_factory.mktemp("exhibits"))
    fake_run.add_paper(folder)
    assert [fake_run.tabulate(folder), fake_run.plot(folder)] == [0, 0]
    assert [fake_run.exhibit(folder, name) for name in [*TABLES, *FIGURES, *PAGES]] == [0] * 21
    assert fake_run.report(folder) == 0
    return folder


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """A copy of the run, to break."""
    shutil.copytree(run.parents[1], tmp_path / "all")
    return tmp_path / "all" / "results" / "tiny"


def view_of(run: Path, name: str) -> View:
    return parse_markdown((run / "tables" / f"{name}.md").read_text(), name)


def cell(view: View, *line: str, column: str) -> str:
    """The text in the line that starts with the given names."""
    found = [row for row in view.rows if [cell.text for cell in row[: len(line)]] == list(line)]
    assert len(found) == 1
    return found[0][view.columns.index(column)].text


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
    assert cell(view_of(run, name), *line, column=column) == text


@pytest.mark.parametrize("name", TABLES)
def test_every_number_of_the_papers_table_is_there_once(run, name):
    table = str(int(name.removeprefix("table")))
    paper = [(row["steps"], row["metric"], float(row["value"])) for row in paper_rows() if row["table"] == table]
    stepped = any(steps for steps, _, _ in paper)
    ours = [
        (str(row.steps) if stepped else "", row.metric, row.paper)
        for row in read_rows(run / "tables" / f"{name}.csv")
        if row.paper is not None and (table, row.metric) != ("3", "entropy")  # of Table 8
    ]
    assert Counter(ours) == Counter(paper)


@pytest.mark.parametrize("name", TABLES)
def test_csv_markdown_and_latex_agree(run, name):
    rows, view = read_rows(run / "tables" / f"{name}.csv"), view_of(run, name)
    shown = Counter(c.text.split(" ")[0] for row in view.rows if any(c.text == "this run" for c in row) for c in row if "." in c.text)
    assert shown == Counter(number(row.value, row.metric) for row in rows if row.value is not None)
    latex = (run / "tables" / f"{name}.tex").read_text()
    lines = [line for line in latex.splitlines() if re.search(r"(this run|paper) &", line)]
    written = [[text.strip() for text in line.removesuffix(r" \\").split(" & ")] for line in lines]
    expected = [[c.text.replace(NONE, "--").replace("†", r"\dag{}") for c in row] for row in view.rows]
    assert [line[1:] for line in written] == [line[1:] for line in expected]


def test_values_are_those_of_the_scores(run):
    scored = json.loads((run / "conditional" / "scores" / "mdlm" / "sdtt3" / "scores.json").read_text())["rows"]
    wanted = next(row for row in scored if (row["steps"], row["metric"]) == (4, "gen_ppl"))
    row = find(read_rows(run / "tables" / "table07.csv"), setting="SDTT", steps=4, metric="gen_ppl")
    assert (row.model, row.paper) == ("mdlm/sdtt3", 117.19)
    assert (row.value, row.low, row.high) == pytest.approx((wanted["value"], wanted["low"], wanted["high"]))
    matched = find(read_rows(run / "tables" / "table09.csv"), setting="IMDM at SDTT's entropy", steps=16, metric="temperature")
    assert matched.value == pytest.approx(1.16)
    last = find(read_rows(run / "tables" / "table12.csv"), setting="IMDM", metric="gen_ppl")
    assert (last.model, last.steps, last.paper) == ("imdm/scratch", 16, 116.37)
    validated = find(read_rows(run / "tables" / "table13.csv"), setting="MDLM-ft", metric="val_ppl")
    assert (validated.model, validated.value, validated.low) == ("mdlm/finetune", 60.0, pytest.approx(58.9))


def test_step_counts_of_one_side_alone_have_dashes(run):
    view = view_of(run, "table06")
    assert cell(view, "1", "paper", column="SDTT: Gen-PPL") == cell(view, "64", "this run", column="SDTT: Gen-PPL") == NONE
    assert cell(view, "1", "this run", column="SDTT: Gen-PPL").startswith("198.3 [")


@pytest.mark.parametrize(
    ("metric", "ours", "base", "papers", "marked"),
    [
        ("gen_ppl", (80, 90), (95, 99), (200, 100), True),
        ("gen_ppl", (95, 99), (80, 90), (100, 200), True),
        ("gen_ppl", (80, 90), (95, 99), (100, 200), False),  # as in the paper
        ("gen_ppl", (80, 96), (95, 99), (200, 100), False),  # not decided
        ("mauve", (80, 90), (95, 99), (100, 100), False),  # no order there
        ("mauve", (80, 90), (95, 99), (200, None), False),
        ("entropy", (80, 90), (95, 99), (200, 100), False),  # neither is better
    ],
)
def test_what_disagrees_with_the_paper(metric, ours, base, papers, marked):
    first, second = (
        Row("6", "x", "", 2, metric, sum(ends) / 2, *ends, paper=paper) for ends, paper in zip((ours, base), papers, strict=True)
    )
    assert contrary(first, second) == marked


def test_disagreement_is_marked_and_explained(run):
    view = view_of(run, "table13")
    assert [c.text.endswith("†") for c in view.rows[0]] == [False, False, False, True]
    assert "† Against MDLM the order is not the paper's" in view.caption
    assert "no order whose two intervals are apart" in view_of(run, "table06").caption


def test_captions_say_what_was_done(run):
    caption = view_of(run, "table07").caption
    for text in ("SDTT: mdlm/sdtt3, SDTT (3 rounds)", "Di4C: mdlm/sdtt3-di4c2", "Judge: trained (float32", "48 samples a step count"):
        assert text in caption
    for text in ("6 completions of each of 8 prompts of 8 tokens", "first 16 tokens are scored, prompt included", "OpenWebText at 170M"):
        assert text in caption
    assert "no temperature that was tried reaches SDTT's entropy: 1." in view_of(run, "table09").caption
    assert "All are trained by SDTT (3 rounds) + ReDi." in view_of(run, "table03").caption
    assert "at 16 steps" in view_of(run, "table12").caption and "here 300 steps, in the paper 10,000" in view_of(run, "table13").caption


def test_di4c_may_be_left_out(copy, capsys):
    assert fake_run.exhibit(copy, "table06", "--set", "paper.di4c=null") == 0
    assert not any("Di4C" in name for name in view_of(copy, "table06").columns)
    assert fake_run.exhibit(copy, "figure10", "--set", "paper.di4c=null") == 2
    assert "give paper.di4c" in capsys.readouterr().err


def test_a_missing_file_is_named_with_the_command_that_makes_it(copy, capsys):
    shutil.rmtree(copy / "scores" / "imdm-s2")
    assert fake_run.exhibit(copy, "table03") == 2
    message = capsys.readouterr().err
    file = copy / "scores" / "imdm-s2" / "sdtt3-redi" / "scores.json"
    assert f"{file} does not exist; run `snakemake {file}`" in message and message.count("\n") == 1


def test_scores_of_another_judge_and_edited_files_are_refused(copy, capsys):
    file = copy / "scores" / "mdlm" / "sdtt3" / "scores.json"
    file.write_text(file.read_text().replace('"name": "trained"', '"name": "gpt2-large"'))
    assert fake_run.exhibit(copy, "table06") == 2
    assert "damaged or was edited" in capsys.readouterr().err
    (file.parent / "meta.json").unlink()
    assert fake_run.exhibit(copy, "table06") == 2
    assert "another judge" in capsys.readouterr().err


@pytest.mark.parametrize("name", [*MAIN, "table15"])
def test_what_is_no_exhibit_of_its_own_is_refused(run, capsys, name):
    assert fake_run.exhibit(run, name) == 2
    assert f"{name} is no exhibit" in capsys.readouterr().err


def test_figures_show_run_and_paper(run):
    small, large = ((run / "figures" / f"{name}.svg").read_text() for name in FIGURES)
    for text in ("Unconditional Gen-PPL", "Conditional Gen-PPL", "Conditional MAUVE", "MDLM", "SDTT", "IMDM", "this run", "paper"):
        assert text in small and text in large
    assert "Di4C" in small and "Di4C" not in large
    before = (run / "figures" / "figure03.png").read_bytes()
    assert fake_run.exhibit(run, "figure03") == 0
    assert (run / "figures" / "figure03.png").read_bytes() == before


def test_pages_are_one_file_and_escape_what_samples_hold(run):
    for name in PAGES:
        text = (run / target(name)).read_text()
        page = Page(text)
        assert not page.open and "script" not in page.tags and all(address.startswith("data:") for address in page.addresses)
    assert "&lt;script&gt;alert" in re.sub("<[^>]*>", "", (run / target("figure06")).read_text())
    assert "Samples of Di4C at 4 steps" in (run / target("figure10")).read_text()
    assert "mdlm/sdtt3-di4c2" in (run / "figures" / "figure11.txt").read_text()


def test_prompts_are_red_and_shared_by_their_completions(run):
    page = (run / target("figure04")).read_text()
    given = re.findall(r'<li><span class="piece given break">◇</span><span class="piece given">([^<]*)</span>', page)
    assert len(given) == 12 and [len(set(given[i : i + 3])) for i in range(0, 12, 3)] == [1] * 4 and len(set(given)) == 4
    assert ".prompted .given { color: var(--prompt); }" in page and 'class="reading prompted"' in page
    lines = (run / "figures" / "figure04.txt").read_text().splitlines()
    assert sum(line.startswith("[◇") for line in lines) == 12 and "Prompt 4" in lines


def test_a_step_count_that_was_not_sampled_is_replaced_and_told(copy, monkeypatch):
    from imdm.data.blocks import Dataset

    dataset = Dataset.open(copy.parents[1] / "data" / fake_run.DATA / "dataset.json")
    monkeypatch.setattr(fake_run, "STEPS", (1, 2, 16))
    fake_run.samples(copy / "samples" / "teacher", "teacher", dataset.tokenizer(), dataset.tokenizer_sha256)
    assert fake_run.exhibit(copy, "figure07") == 0
    text = (copy / "figures" / "figure07.txt").read_text()
    assert text.startswith("Figure 7. Samples of MDLM at 16 steps") and "The paper shows 8 steps" in text


def test_report_shows_every_exhibit(run):
    text = (run / "report.html").read_text()
    page = Page(text)
    assert len(text.encode()) < 5e6 and not page.open and len(page.ids) == len(set(page.ids))
    assert {*TABLES, *FIGURES, "exhibits"} <= set(page.ids)
    assert page.tags.count("svg") >= 5 and page.tags.count("table") >= 19
    assert all(f"<summary>Figure {int(name.removeprefix('figure'))}. " in text for name in PAGES)
    assert "294.41" in text and 'class="disagree"' in text
    assert "--exhibit table06" in text and "--out" in text.split("--exhibit table06")[1].split("\n")[0]


def test_plan_names_files_of_every_exhibit():
    params = load_params(fake_run.ROOT / "params.yaml")
    for name in params.paper.exhibits:
        if name not in MAIN:
            assert needs(params, name).files()
    assert target("figure04").endswith(".html") and target("figure03").endswith(".png") and target("table06").endswith(".csv")
