"""Several training seeds: names, jobs, trainings that differ, and means over them."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors import safe_open
from safetensors.torch import load_file

import fake_run
from checkout import ROOT, clone
from dag import dvc_stages, snakemake_jobs
from imdm.diffusion.counter import training_seed
from imdm.errors import UserError
from imdm.params import load_params, parse_variant
from imdm.report.names import baseline_of
from imdm.report.render import main_table_text, write_tables
from imdm.report.rows import Row, find, read_rows, select
from imdm.report.seeds import OVER_SEEDS, first_seed, seed_rows, seed_sentence
from imdm.report.summary import ratios
from imdm.report.views import table04
from script import run as run_stage

SEEDS = ["mdlm", "imdm", "mdlm-seed1", "imdm-seed1", "mdlm-seed2", "imdm-seed2"]


@pytest.mark.parametrize(
    ("name", "parts"),
    [("imdm", ("imdm", 0)), ("imdm-s0.5-seed12", ("imdm-s0.5", 12)), ("imdm-seed0", ("imdm-seed0", 0)), ("imdm-seeds", ("imdm-seeds", 0))],
)
def test_names_of_replicates(name, parts):
    assert parse_variant(name) == parts


def test_the_baseline_has_the_same_recipe_and_seed():
    assert baseline_of("imdm-d64-seed2/sdtt3-redi") == "mdlm-seed2/sdtt3-redi" and baseline_of("imdm/redi") == "mdlm/redi"
    assert baseline_of("imdm-signs/keyed") == "teacher" and baseline_of("imdm-signs-seed2/sdtt3-keyed") == "mdlm-seed2/sdtt3"
    assert [baseline_of(model) for model in ("mdlm/redi", "mdlm-seed1/redi", "teacher")] == [None] * 3


def test_the_first_seed_is_that_of_the_parameters():
    seeds = [training_seed(7, replicate) for replicate in range(4)]
    assert seeds[0] == 7 and len(set(seeds)) == 4
    assert training_seed(8, 1) != training_seed(7, 1)


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["compare.variants=[imdm, mdlm-seed1]"], "'mdlm-seed1' without 'mdlm'"),
        (["compare.variants=[imdm, other-seed1]"], "'other-seed1' without 'other'"),
        (["compare.also=[other-seed1/redi]"], "'other-seed1', which variants does not declare"),
        (["variants.imdm-seed1={mask: infinite}"], "-seedN is for replicates"),
    ],
)
def test_replicates_of_nothing_are_refused(sets, words):
    with pytest.raises(UserError, match=re.escape(words)):
        load_params(ROOT / "tests/micro.yaml", sets)


def test_a_replicate_has_the_mask_of_its_variant():
    params = load_params(ROOT / "params.yaml")
    assert params.mask_settings("imdm-d64-seed3") == params.mask_settings("imdm-d64")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default experiment with three seeds."""
    target = clone(tmp_path_factory.mktemp("seeds"))
    tree = yaml.safe_load((target / "params.yaml").read_text())
    tree["compare"]["variants"] = SEEDS
    (target / "params.yaml").write_text(yaml.safe_dump(tree))
    return target


def test_the_graphs_train_every_student_once_a_seed(project):
    snakemake, dvc = snakemake_jobs(project), dvc_stages(project)
    assert set(snakemake) == set(dvc)
    assert {job["name"] for job in snakemake.values()} > {"sdtt", "couple_student"}
    expected = {"initialize": 7, "sdtt": 18, "couple": 1, "couple_student": 6, "redi": 6, "redi_student": 6, "sample": 19, "score": 19}
    expected |= {"teacher": 1, "judge": 1, "synthetic": 1, "tabulate": 1}
    counts = Counter(job["name"] for job in snakemake.values())
    assert {name: counts[name] for name in expected} == expected


def test_the_parents_of_a_replicate_are_replicates(project):
    inputs = {out: job["inputs"] for job in snakemake_jobs(project).values() for out in job["outputs"]}
    models = "results/tiny/models/imdm-seed2"
    couplings = "results/tiny/couplings/imdm-seed2/sdtt3/couplings.safetensors"
    assert inputs[f"{models}/sdtt3-redi/model.safetensors"] == {couplings, f"{models}/sdtt3/model.safetensors"}
    assert f"{models}/sdtt3/model.safetensors" in inputs[couplings]
    assert f"{models}/teacher/model.safetensors" in inputs[f"{models}/sdtt1/model.safetensors"]
    teachers = "results/tiny/couplings/teacher/couplings.safetensors"
    assert inputs[f"{models}/redi/model.safetensors"] == {teachers, f"{models}/teacher/model.safetensors"}


def test_replicates_differ_in_weights_and_the_first_is_as_it_was(tmp_path):
    def stage(name: str, *arguments: object) -> Path:
        out = tmp_path / str(arguments[-1])
        done = run_stage(name, *map(str, arguments[:-1]), "--out", out, sets=sets)
        assert done.returncode == 0, done.stderr
        return out

    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat", "and", "saw"], 3000)
    (tmp_path / "text.txt").write_text("\n\n".join(" ".join(words[i : i + 12]) for i in range(0, len(words), 12)))
    sets = ["corpus.name=files", f"corpus.path={tmp_path}/text.txt", "corpus.vocab_size=280"]
    data = stage("tokenize_pack", "data") / "dataset.json"
    teacher = stage("pretrain", "--data", data, "teacher") / "model.safetensors"
    students = {}
    for variant in ("imdm", "imdm-seed1"):
        adopted = stage("initialize", "--teacher", teacher, "--variant", variant, f"adopted-{variant}") / "model.safetensors"
        students[variant] = stage("sdtt", "--data", data, "--round", 1, "--teacher", adopted, variant) / "model.safetensors"
        with safe_open(students[variant], "pt") as file:
            assert json.loads(file.metadata()["imdm"]).get("replicate", 0) == parse_variant(variant)[1]
            assert ("replicate" in file.metadata()["imdm"]) == (variant != "imdm")
    first, second = (load_file(path) for path in students.values())
    assert first.keys() == second.keys() and any(not first[name].equal(second[name]) for name in first)


def row(model: str, value: float, metric: str = "gen_ppl_ratio", table: str = "4", setting: str = "ReDi") -> Row:
    return Row(table, model, setting, 2, metric, value)


def test_means_over_seeds_are_numpys():
    values = {"mdlm": [100.0, 104.0, 90.0], "imdm": [80.0, 70.0, 95.0]}
    rows = [row(f"{v}{s}/redi", x, "gen_ppl") for v, found in values.items() for s, x in zip(("", "-seed1", "-seed2"), found, strict=True)]
    rows += [row(f"imdm{s}:mdlm{s}/redi", i / m) for s, m, i in zip(("", "-seed1", "-seed2"), *values.values(), strict=True)]
    found = {one.model: one for one in seed_rows([*rows, row("imdm-d64/redi", 3.0, "gen_ppl")])}
    assert found.keys() == {"mdlm/redi", "imdm/redi", "imdm:mdlm/redi"}
    for model, numbers in (("imdm/redi", values["imdm"]), ("imdm:mdlm/redi", np.divide(values["imdm"], values["mdlm"]))):
        mean, sd = np.mean(numbers), np.std(numbers, ddof=1)
        assert (found[model].value, found[model].low, found[model].high) == pytest.approx((mean, mean - sd, mean + sd))
    assert found["imdm/redi"].metric == "gen_ppl_seeds" and found["imdm/redi"].setting == "ReDi, mean and sd of 3 training seeds"


def test_the_sentence_counts_comparisons_on_one_side():
    def ratio(recipe: str, *values: float) -> list[Row]:
        return [row(f"imdm{s}:mdlm{s}/{recipe}", x, setting=recipe) for s, x in zip(("", "-seed1", "-seed2"), values)]

    rows = ratio("redi", 0.8, 0.9, 0.7) + ratio("sdtt3", 0.9, 1.1, 0.8) + ratio("sdtt3-redi", 1.2, 1.1, 1.3)
    assert "2 of 3 comparisons (below 1 in 1, above 1 in 1)" in seed_sentence([*rows, *seed_rows(rows)])
    assert seed_sentence(ratio("redi", 0.8)) == "" and seed_rows(ratio("redi", 0.8)) == []


@pytest.fixture(scope="module")
def one_seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_run.finished(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def three_seeds(one_seed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run with two replicates, whose numbers are others."""
    run = fake_run.build(tmp_path_factory.mktemp("three"), seeds=3)
    sets = ["--set", f"compare.variants=[{', '.join(SEEDS)}]"]
    assert [fake_run.tabulate(run, *sets), fake_run.plot(run), fake_run.report(run)] == [0, 0, 0]
    return run


def test_ratios_are_paired_by_seed(three_seeds):
    rows = read_rows(three_seeds / "tables/tables.csv")
    for suffix in ("", "-seed1", "-seed2"):
        ours, base = (find(rows, model=f"{name}{suffix}/redi", metric="gen_ppl", steps=4) for name in ("imdm", "mdlm"))
        ratio = find(rows, table="4", model=f"imdm{suffix}:mdlm{suffix}/redi", metric="gen_ppl_ratio", steps=4)
        assert ratio.value == pytest.approx(ours.value / base.value) and ratio.low < ratio.value < ratio.high
    assert {one.model for one in select(rows, metric="gen_ppl_ratio") if "redi" in one.model} == {
        f"imdm{s}:mdlm{s}/{recipe}" for s in ("", "-seed1", "-seed2") for recipe in ("redi", "sdtt3-redi")
    }


def test_tables_show_the_first_seed_and_the_spread(three_seeds):
    rows = read_rows(three_seeds / "tables/tables.csv")
    view = table04(first_seed(rows))
    line = dict(zip(view.columns, next(one for one in view.rows if one[0].text == "ReDi"), strict=True))
    mean = find(rows, table="4", model="imdm:mdlm/redi", metric="gen_ppl_ratio_seeds", steps=1)
    assert line["ratio, seeds"].text == f"{mean.value:.2f} ± {mean.high - mean.value:.2f}"
    assert "±" in line["ratio at equal entropy, seeds"].text and "over 3 training seeds" in view.caption
    assert any(one[0].text == "3 training seeds" for one in ratios(first_seed(rows)).rows)
    text = main_table_text(rows)
    assert "ratio, seeds" in text and "Training seeds, 3 of each" in text and "-seed1" not in text
    page = (three_seeds / "report.html").read_text()
    assert "on the same side of 1 in all seeds" in page and "±" in page


def test_without_replicates_the_tables_are_as_they_were(one_seed, three_seeds, tmp_path):
    """What replicates add is apart: taken away, every file has the bytes of a run without them."""
    rows = [one for one in first_seed(read_rows(three_seeds / "tables/tables.csv")) if not one.metric.endswith(OVER_SEEDS)]
    single = read_rows(one_seed / "tables/tables.csv")
    sampled = find(single, metric="models_sampled")  # counts the replicates too
    for name, found in (("of one", single), ("of three", [sampled if one.metric == sampled.metric else one for one in rows])):
        (tmp_path / name).mkdir()
        write_tables(tmp_path / name, found)
    files = sorted(path.name for path in (tmp_path / "of one").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "of three").iterdir()) and "tables.csv" in files
    assert all((tmp_path / "of one" / name).read_bytes() == (tmp_path / "of three" / name).read_bytes() for name in files)
    assert (tmp_path / "of three/tables.csv").read_bytes() == (one_seed / "tables/tables.csv").read_bytes()
    assert not any("seeds" in column for column in table04(single).columns) and "±" not in main_table_text(single)
