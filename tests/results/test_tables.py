"""The frame and the main tables, from results that the tests invent."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fake_run
from imdm.errors import UserError
from imdm.results.frame import COLUMNS, RATIO, Number, decided, frame_of, lines, one, read_frame, select, write_frame
from imdm.results.names import recipe_label
from imdm.results.paper import paper_of, paper_value
from imdm.results.records import paired_interval, ratios, with_means
from imdm.results.summary import summary, verdict
from imdm.results.table import better_cell, paper_cell, value_cell
from imdm.results.tables import comparisons, frontier, table04
from imdm.results.view import Cell, View, latex, markdown, read_view, write_view


def number(metric: str, value: float | None = None, low: float | None = None, high: float | None = None, **more: object) -> Number:
    about = {"kind": "samples", "model": "imdm/redi", "metric": metric, "value": value, "low": low, "high": high}
    return next(lines(frame_of([about | more])))


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
    assert paper_of("mdlm/sdtt3") == {"variant": "MDLM", "method": "SDTT"}
    assert paper_of("imdm/sdtt3-redi") == {"variant": "IMDM", "method": "SDTT+ReDi"}
    assert paper_of("imdm/redi") == {"variant": "IMDM", "method": "ReDi"}
    others = ("teacher", "imdm-gaussian/redi", "mdlm/sdtt3-di4c2", "imdm/scratch", "public/sdtt")
    assert [paper_of(model) for model in others] == [None] * 5


def test_recipes_in_words():
    assert [recipe_label(name) for name in ("sdtt1", "redi", "sdtt7-redi")] == ["SDTT (1 round)", "ReDi", "SDTT (7 rounds) + ReDi"]


# The frame


def test_a_frame_comes_back_from_its_file(frame, tmp_path):
    write_frame(tmp_path / "again.csv", frame)
    pd.testing.assert_frame_equal(read_frame(tmp_path / "again.csv"), frame)
    assert tuple(frame.columns) == COLUMNS and not frame.drop(columns=["value", "low", "high", "paper"]).duplicated().any()


def test_what_is_no_frame_is_refused(tmp_path):
    for text, words in (("x,y\n1,2\n", "must have the columns kind, model"), ("", "no table of numbers"), (None, "does not exist")):
        if text is not None:
            (tmp_path / "a.csv").write_text(text)
        with pytest.raises(UserError, match=words):
            read_frame(tmp_path / ("none.csv" if text is None else "a.csv"))
    write_frame(tmp_path / "a.csv", frame_of([{"kind": "samples", "model": "teacher", "metric": "gen_ppl", "value": 1.5}]))
    (tmp_path / "a.csv").write_text((tmp_path / "a.csv").read_text().replace("1.5", "much"))
    with pytest.raises(UserError, match="no table of numbers"):
        read_frame(tmp_path / "a.csv")


def test_missing_values_are_selected_by_none():
    frame = frame_of([{"model": "a", "steps": 2, "metric": "m"}, {"model": "b", "against": "a", "metric": "m"}])
    assert [row.model for row in lines(select(frame, steps=None))] == ["b"] and one(frame, against=None).model == "a"
    assert one(frame, steps=2).steps == 2 and one(frame, steps=3) is None and len(select(frame, model=["a", "b", "c"])) == 2


@pytest.mark.parametrize(
    ("low", "high", "result", "name"),
    [
        (0.8, 0.9, "ours", "IMDM"),
        (1.1, 1.2, "base", "MDLM"),
        (0.9, 1.1, "tie", "tie"),
        (None, 0.9, "ours", "IMDM"),
        (0.8, None, "tie", "tie"),
    ],
)
def test_a_ratio_is_decided_by_its_paired_interval(low, high, result, name):
    row = number(RATIO, 1.0, low, high, against="mdlm/redi")
    assert decided(row) == result and better_cell(row).text == name
    assert decided(None) == "" and better_cell(None).text == "–"


# Numbers


def test_means_over_seeds_have_the_least_and_largest():
    seeds = [{"model": "a", "metric": "m", "seed": n, "value": v, "low": v - 9, "high": v + 9} for n, v in enumerate((1.0, 2.0, 6.0))]
    mean, *rest = with_means(seeds)
    assert (mean["seed"], mean["value"], mean["low"], mean["high"]) == (None, 3.0, 1.0, 6.0) and rest == seeds
    assert with_means(seeds[:1])[0] | {"seed": 0} == seeds[0]  # of one seed its own interval


def test_synthetic_means_and_seeds(frame):
    mean = one(frame, kind="synthetic", model="imdm", metric="validity_pct", seed=None)
    assert (mean.value, mean.low, mean.high, mean.paper) == (pytest.approx(98.2), 98.0, 98.4, 97.7)
    assert one(frame, kind="synthetic", model="imdm", metric="validity_pct", seed=1).value == pytest.approx(98.1)
    assert one(frame, model="imdm", setting="noise A", seed=None, metric="P(token2=0)_pct").paper == 100.0


def test_ratios_have_paired_intervals(frame):
    ours, base = (one(frame, kind="samples", model=f"{v}/redi", metric="gen_ppl", steps=2) for v in ("imdm", "mdlm"))
    assert (ours.paper, base.paper) == (284.62, 530.36)
    ratio = one(frame, kind="samples", model="imdm/redi", metric=RATIO, steps=2)
    assert (ratio.against, ratio.value, ratio.paper) == (
        "mdlm/redi",
        pytest.approx(ours.value / base.value),
        pytest.approx(284.62 / 530.36),
    )
    assert ratio.low < ratio.value < ratio.high < 1
    assert ratio.high / ratio.low < math.sqrt(ours.high / ours.low * base.high / base.low)  # paired, so narrower


def test_a_paired_interval_is_that_of_the_common_samples():
    draw = np.random.default_rng(0)
    base = pd.DataFrame({"nll": draw.normal(100, 10, 60), "tokens": 20.0})
    ours = pd.DataFrame({"nll": base["nll"] - 20 * 0.1, "tokens": 20.0})  # by 0.1 nats a token in each sample
    assert paired_interval(ours, base) == pytest.approx((math.exp(-0.1),) * 2)
    assert paired_interval(ours[:30], base[20:]) == pytest.approx((math.exp(-0.1),) * 2)
    assert paired_interval(ours[:30], base[30:]) == (None, None)
    noisy = ours.assign(nll=ours["nll"] + np.repeat(draw.normal(0, 4, 12), 5))
    alone, grouped = (np.diff(np.log(paired_interval(noisy, base, group))) for group in (1, 5))
    assert grouped > 1.5 * alone  # completions of one prompt are not independent


def test_ratios_are_of_step_counts_that_both_have(run):
    value = {"metric": "gen_ppl", "value": 2.0}
    models = [("samples", "imdm/redi"), ("samples", "mdlm/redi")]
    records = [{"kind": kind, "model": model, "steps": n} | value for (kind, model), n in zip(models * 2, (1, 1, 2, 4), strict=True)]
    assert [(r["steps"], r["value"]) for r in ratios(run, [tuple(models)], records)] == [(1, 1.0)]


# Tables


def test_table04_says_where_imdm_wins_ties_and_loses(frame):
    shown = fake_run.cells(table04(frame))
    assert shown["SDTT (3 rounds)", "2"]["Better"].text == "tie" and shown["ReDi", "1"]["Better"] == Cell("IMDM", None, "win")
    assert shown["SDTT (3 rounds) + ReDi", "16"]["Better"] == Cell("MDLM", None, "lose")
    assert shown["Keyed distillation", "2"]["Better"].text == "student" and shown["ReDi", "2"]["paper IMDM"].text == "284.62"
    assert shown["Real text", "–"]["MDLM"].sort == 40.9 and shown["Real text", "–"]["IMDM"].text == "–"


def test_the_summary_counts_what_the_paired_intervals_decide(frame):
    numbers = summary(frame)
    for where, kind in (("as_sampled", "samples"), ("equal_entropy", "equal_entropy")):
        ratios = lines(select(frame, variant="imdm", metric=RATIO, kind=kind))
        sides = [decided(ratio) for ratio in ratios if ratio.target != "data"]
        assert numbers["better"][where] == {"imdm": sides.count("ours"), "mdlm": sides.count("base"), "of": 15} and len(sides) == 15
    samples = select(frame, kind="samples", metric="gen_ppl", steps=2)
    assert numbers["best"]["2"]["gen_ppl"] == samples["value"].min()
    lowest = {variant: min(number.value for number in lines(samples) if number.variant == variant) for variant in ("imdm", "mdlm")}
    assert numbers["imdm_over_mdlm"]["2"] == lowest["imdm"] / lowest["mdlm"]
    assert (numbers["real_text"], numbers["judge"]) == (40.9, one(frame, kind="judge", metric="val_ppl").value)
    assert numbers["teacher"] == one(frame, kind="samples", metric="gen_ppl", model="teacher", steps=16).value
    assert json.loads(json.dumps(numbers)) == numbers


def test_the_verdict_says_how_many_chance_would_decide(frame):
    assert "about 0.8" in verdict(summary(frame))[0]
    assert not any("train it longer" in sentence for sentence in verdict(summary(frame)))
    weak = frame.assign(value=frame["value"].where(frame["metric"] != "unigram_perplexity", 40.0))
    assert "train it longer" in verdict(summary(weak))[0]
    assert verdict(summary(frame[:0])) == ["MDLM and IMDM were not both sampled, so nothing is compared."]


def test_equal_entropy_stands_beside_gen_ppl(frame):
    """In the invented run ln Gen-PPL is 4 H + c: IMDM's c is lower by 0.35 for ReDi, and its H by 0.035."""
    shown = fake_run.cells(table04(frame))
    ratio = shown["ReDi", "2"]["ratio, equal entropy"]
    assert ratio.sort == pytest.approx(math.exp(-0.35 + 4 * 0.035), rel=0.03) and ratio.mark == "win" and "[" in ratio.text
    values = [shown["ReDi", "2"][f"{name}, equal entropy"].sort for name in ("IMDM", "MDLM")]
    assert ratio.sort == pytest.approx(values[0] / values[1])
    assert shown["SDTT (3 rounds)", "2"]["ratio, equal entropy"].mark == "lose"  # a tie at its own entropy
    assert not any("equal entropy" in head for head in table04(select(frame, kind="samples")).columns)  # before there is a frontier
    heats = fake_run.cells(frontier(frame))["ReDi", "2"]
    found = [heats[f"{name}, temperature"].sort for name in ("MDLM", "IMDM")]
    assert found == pytest.approx([math.exp(0.05 / 0.3), math.exp(0.085 / 0.3)])
    shown = fake_run.cells(frontier(frame))
    own = one(frame, kind="frontier", model="teacher", temperature=1.0, steps=2, metric="gen_ppl")
    assert shown["Teacher, not distilled", "2"]["MDLM at the teacher's entropy"].sort == own.value
    line = shown["ReDi", "1"]  # IMDM does not reach the data's entropy
    assert line["IMDM at the data's entropy"].text.startswith("> ") and line["ratio at the data's entropy"].text == "–"


def test_models_that_are_no_pair_have_lines_of_their_own():
    models = ("mdlm/sdtt3-di4c2", "public/sdtt", "imdm/scratch")
    frame = frame_of({"kind": "samples", "model": model, "steps": 2, "metric": "gen_ppl", "value": 50.0} for model in models)
    assert [line["label"] for line in comparisons(frame)] == ["SDTT (3 rounds) + Di4C (2 rounds)", "Public checkpoint sdtt", "From scratch"]
    shown = fake_run.cells(table04(frame))
    assert [(line["MDLM"].text, line["IMDM"].text) for line in list(shown.values())[1:]] == [("50.00", "–"), ("50.00", "–"), ("–", "50.00")]


# Refusals


def refused(capsys: pytest.CaptureFixture[str], run: Path, table: str) -> str:
    """The one sentence with which the stage of a table ends."""
    assert (fake_run.tabulate(run) if table == "tables" else fake_run.exhibit(run, f"tables/{table}.csv")) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    return message


@pytest.mark.parametrize(
    ("table", "file"),
    [
        ("tables", "scores/imdm/redi/scores.json"),
        ("table03", "scores/imdm-s2/sdtt3-redi/scores.json"),
        ("frontier", "frontier/imdm/redi/frontier.json"),
        ("frontier", "reference/reference.safetensors"),
    ],
)
def test_a_missing_result_is_named(copy, capsys, table, file):
    (copy / file).unlink()
    assert f"{copy / file} does not exist" in refused(capsys, copy, table)


@pytest.mark.parametrize(
    ("table", "file", "old", "new", "fault"),
    [
        ("tables", "scores/imdm/redi/scores.json", '"trained"', '"gpt2-large"', "imdm/redi has another judge"),
        ("tables", "controls/controls.json", '"trained"', '"gpt2-large"', "controls has another judge"),
        ("table06", "scores/mdlm/sdtt3/scores.json", '"trained"', '"gpt2-large"', "mdlm/sdtt3 has another judge"),
        ("factorization", "factorization/imdm/redi/factorization.json", '"seq_len": 24', '"seq_len": 12', "imdm/redi has another seq_len"),
        ("tables", "judge/judge.json", '"held_out_perplexity"', '"perplexity"', "judge.json is not what its stage writes"),
    ],
)
def test_results_made_otherwise_and_edited_ones_are_refused(copy, capsys, table, file, old, new, fault):
    text = (copy / file).read_text()
    assert old in text
    (copy / file).write_text(text.replace(old, new))
    assert "damaged or was edited" in refused(capsys, copy, table)
    (copy / file).with_name("meta.json").unlink()
    assert fault in refused(capsys, copy, table)


def test_single_samples_that_are_cut_off_are_refused(copy, capsys):
    file = copy / "scores/imdm/sdtt3-redi/per_sample.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    assert "per_sample.parquet" in refused(capsys, copy, "table14")


# Files


def test_cells_show_intervals_only_where_they_have_width():
    assert value_cell(number("gen_ppl", 123.45, 120, 130)) == Cell("123.5 [120.0, 130.0]", 123.45)
    assert value_cell(number("error_kl_nats", 0.5, 0.5, 0.5)).text == "0.5000"
    assert value_cell(number("parameters", 1234567)).text == "1,234,567"
    assert value_cell(number("marginals_nats_per_token", -1e-5, -2e-4, 2e-3)).text == "0.000 [0.000, 0.002]"
    assert value_cell(number(RATIO, 0.8, None, 0.9)).text == "0.80 [–, 0.90]"
    assert value_cell(None).text == "–"


def test_paper_cells_keep_the_digits_of_the_paper():
    values = {"mauve": 0.062, "gen_ppl": 49.3, "validity_pct": 50.0, "error_valid_mass_nats": 0.082, RATIO: 284.62 / 530.36}
    texts = [paper_cell(number(metric, paper=value)).text for metric, value in values.items()]
    assert texts == ["0.062", "49.30", "50.0", "0.082", "0.54"] and paper_cell(number("mauve", paper=0.97)).text == "0.97"


NASTY = View("x", "T", "a_b 5% & {#} < 1 ± †", ["Name | n", "V~^\\"], [[Cell("a_1"), Cell("50%", 50.0, "win")], [Cell("a_1"), Cell("–")]])


def test_a_view_comes_back_from_its_file(tmp_path):
    write_view(tmp_path, NASTY)
    assert read_view(tmp_path / "x.json") == NASTY
    (tmp_path / "x.json").write_text("{}")
    for file, words in (("x.json", "not a table"), ("y.json", "does not exist")):
        with pytest.raises(UserError, match=words):
            read_view(tmp_path / file)


def test_markdown_and_latex_are_escaped(run):
    text = latex(NASTY)
    assert r"a\_b 5\% \& \{\#\}" in text and r"V\textasciitilde{}\textasciicircum{}\textbackslash{}" in text and r"a\_1 & 50\%" in text
    assert r"Name \textbar{} n" in text and r"| Name \| n |" in markdown(NASTY)


def test_files_of_a_table_agree(run):
    """Every table has the same cells in JSON, Markdown and LaTeX, and each line as many."""
    for path in (run / "tables").glob("table*.json"):
        if not path.name.endswith(".meta.json"):
            view = read_view(path)
            texts = [[cell.text for cell in line] for line in view.body]
            table = [line for line in path.with_suffix(".md").read_text().splitlines() if line.startswith("| ")]
            assert [line[2:-2].split(" | ") for line in table] == [view.columns, ["---"] + ["---:"] * (len(view.columns) - 1), *texts]
            rows = [line for line in path.with_suffix(".tex").read_text().splitlines() if line.endswith(r"\\")]
            assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {len(view.columns) - 1} and len(rows) == len(texts) + 1


def has_latex() -> bool:
    found = shutil.which("pdflatex") and shutil.which("kpsewhich")
    return bool(found) and subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True).returncode == 0


@pytest.mark.skipif(not has_latex(), reason="pdflatex with booktabs is not installed")
def test_latex_compiles(run: Path, tmp_path):
    wide = View("wide", "W", "†", [f"column {i}" for i in range(14)], [[Cell("12.3 [11.1, 13.3] †")] * 14])
    tables = "\n".join([*(path.read_text() for path in sorted((run / "tables").glob("*.tex"))), latex(wide), latex(NASTY)])
    package = "\\usepackage{booktabs,graphicx}\\usepackage[landscape]{geometry}"
    (tmp_path / "a.tex").write_text(f"\\documentclass{{article}}{package}\\begin{{document}}\n{tables}\\end{{document}}\n")
    done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
