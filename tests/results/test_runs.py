"""Several training seeds of one run, several runs side by side, and what the terminal shows of them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import fake_run
from imdm.results.frame import RATIO, first_seed, frame_of, one, read_comparison, read_frame, select, with_seed_means, write_frame
from imdm.results.runs import mean_ratio, runs_view
from imdm.results.show import main as show
from imdm.results.show import main_text
from imdm.results.tables import frontier, table04

SEEDS = ["mdlm", "imdm", "mdlm-seed1", "imdm-seed1", "mdlm-seed2", "imdm-seed2"]


@pytest.fixture(scope="module")
def three_seeds(tmp_path_factory: pytest.TempPathFactory):
    """The frame of a run with two replicates, whose numbers are others."""
    run = fake_run.build(tmp_path_factory.mktemp("three"), seeds=3)
    words = ("--set", f"compare.variants=[{', '.join(SEEDS)}]")
    assert fake_run.tabulate(run, *words) == 0 == fake_run.exhibit(run, "tables/frontier.csv", *words)
    return read_comparison(run / "tables" / "tables.csv")


def number(model: str, value: float | None, metric: str = RATIO, kind: str = "samples") -> dict:
    return {"kind": kind, "model": model, "steps": 2, "metric": metric, "value": value}


def test_means_over_seeds_are_numpys():
    values = {"mdlm": [100.0, 104.0, 90.0], "imdm": [80.0, 70.0, 95.0]}
    records = [number(f"{v}{s}/redi", x, "gen_ppl") for v, xs in values.items() for s, x in zip(("", "-seed1", "-seed2"), xs, strict=True)]
    frame = with_seed_means(frame_of([*records, number("imdm-d64/redi", 3.0, "gen_ppl")]))
    assert list(frame["replicate"].fillna(-1)) == [0, 0, 0, -1, -1]
    for variant, numbers in values.items():
        mean = one(frame, model=f"{variant}/redi", replicate=None)
        center, sd = np.mean(numbers), np.std(numbers, ddof=1)
        assert (mean.value, mean.low, mean.high) == pytest.approx((center, center - sd, center + sd))


def test_a_mean_needs_every_seed():
    frame = frame_of([number("imdm/redi", 0.9, kind="equal_entropy"), number("imdm-seed1/redi", None, kind="equal_entropy")])
    assert len(with_seed_means(frame)) == 1


def test_ratios_are_paired_by_seed(three_seeds):
    for suffix in ("", "-seed1", "-seed2"):
        ours, base = (one(three_seeds, kind="samples", model=f"{v}{suffix}/redi", metric="gen_ppl", steps=4) for v in ("imdm", "mdlm"))
        ratio = one(three_seeds, kind="samples", model=ours.model, metric=RATIO, steps=4)
        assert (ratio.against, ratio.value) == (base.model, pytest.approx(ours.value / base.value)) and ratio.low < ratio.value < ratio.high


def test_tables_show_the_first_seed_and_the_spread(three_seeds):
    shown = with_seed_means(three_seeds)
    view = table04(three_seeds)
    line = dict(zip(view.columns, next(line for line in view.body if line[0].text == "ReDi"), strict=True))
    mean = one(shown, kind="samples", model="imdm/redi", metric=RATIO, steps=1, replicate=None)
    assert line["ratio, seeds"].text == f"{mean.value:.2f} ± {mean.high - mean.value:.2f}"
    curves = frontier(three_seeds)
    line |= dict(zip(curves.columns, next(line for line in curves.body if line[0].text == "ReDi"), strict=True))
    assert "±" in line["ratio at equal entropy, seeds"].text
    assert [cell.sort for cell in (line["MDLM"], line["IMDM"])] == [
        one(three_seeds, kind="samples", model=f"{variant}/redi", steps=1, metric="gen_ppl").value for variant in ("mdlm", "imdm")
    ]
    assert "ratio, seeds" in main_text(three_seeds) and "-seed1" not in main_text(three_seeds)


def test_replicates_leave_the_first_seed_as_it_is(three_seeds, frame):
    keep = ["kind", "model", "target", "steps", "temperature", "seed", "setting", "metric", "value", "low", "high"]
    first = first_seed(three_seeds)[keep].reset_index(drop=True)
    assert first.equals(frame[keep]) and len(three_seeds) > len(frame)
    assert not any("seeds" in head for head in table04(frame).columns) and "±" not in main_text(frame)


def test_runs_side_by_side(frame, tmp_path, capsys):
    paths = []
    for name, factor in (("a", 1.0), ("b", 1.1), ("c", 0.8)):
        paths.append(tmp_path / name / "tables" / "tables.csv")
        paths[-1].parent.mkdir(parents=True)
        write_frame(paths[-1], frame.assign(value=frame["value"].where(frame["metric"] != RATIO, frame["value"] * factor)))
    view = runs_view({path.parents[1].name: read_frame(path) for path in paths})
    line = view.body[0]
    ratio = one(frame, kind="samples", model="imdm/sdtt3", metric=RATIO, steps=line[1].sort).value
    assert view.columns[2:5] == ["a", "b", "c"] and line[0].text == "SDTT (3 rounds)"
    assert [cell.sort for cell in line[2:5]] == pytest.approx([ratio, 1.1 * ratio, 0.8 * ratio])
    logs = np.log([ratio, 1.1 * ratio, 0.8 * ratio])
    expected = np.exp(stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs)))
    assert mean_ratio(list(np.exp(logs))) == pytest.approx((np.exp(logs.mean()), *expected))
    assert line[6].text == f"[{expected[0]:.2f}, {expected[1]:.2f}]"
    assert {line[0].text for line in view.body} >= {"ReDi", "ReDi, equal entropy"}
    assert show([str(path.parents[1]) for path in paths]) == 0 and "Runs side by side" in capsys.readouterr().out
    assert show([*(str(path.parents[1]) for path in paths), "--metric", "entropy"]) == 0
    entropy = one(frame, kind="samples", model="imdm/sdtt3", metric="entropy", steps=line[1].sort).value
    assert re.search(rf"(?m)^{line[1].text} ( +{entropy:.3f}){{4}} +\[{entropy:.3f}, {entropy:.3f}\]$", capsys.readouterr().out)
    assert show([str(paths[0]), str(paths[1]), "--metric", "entrpy"]) == 2 and "entropy, gen_ppl" in capsys.readouterr().err
    assert show([str(paths[0]), str(paths[0])]) == 2
    assert capsys.readouterr().err == "show: two of the tables are of runs called a; name each run once.\n"


def test_show_prints_the_main_table(run: Path, frame, capsys):
    assert show([str(run)]) == 0
    text = capsys.readouterr().out
    assert main_text(frame) in text and str(run / "report.html") in text and "41.50" in text
    ratio = one(select(frame, kind="samples"), model="imdm/redi", steps=2, metric=RATIO)
    assert re.search(rf"(?m)^ReDi\n(?:\d.*\n)*2 .* {ratio.value:.2f} \[.* IMDM ", text)
    assert max(map(len, text.splitlines()[:-1])) <= 100  # the last names the report's file
    assert show([str(run / "tables" / "tables.csv")]) == 0 and main_text(frame) in capsys.readouterr().out
    assert show([str(run / "nothing")]) == 2 and "does not exist" in capsys.readouterr().err


def test_show_prints_the_synthetic_task_alone(run, capsys, tmp_path):
    """The command of README.md."""
    assert show([str(run / "synthetic" / "synthetic.json")]) == 0
    text = capsys.readouterr().out
    mean = one(read_frame(run / "tables" / "table01.csv"), model="imdm", metric="validity_pct", seed=None)
    assert re.search(rf"(?m)^IMDM +{mean.value:.2f} ", text) and "noise B" in text
    (tmp_path / "synthetic.json").write_text("{}")
    assert show([str(tmp_path / "synthetic.json")]) == 2
    assert "is not what its stage writes" in capsys.readouterr().err
