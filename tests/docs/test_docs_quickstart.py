"""docs/quickstart.md: every command, in order, at micro size: from text files to tables, report and DVC."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

import documents
from checkout import ROOT, clone, commit, run
from imdm.results import plan

pytestmark = pytest.mark.slow
SMALL = {"sdtt3-redi": "sdtt1-redi", "files-carry-32": "files-carry-16", "count=256": "count=32"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the commands of the page were run."""
    folder = tmp_path_factory.mktemp("quickstart")
    clone(folder, "tests/micro.yaml", ("compare={variants: [imdm], recipes: [sdtt1-redi]}",))
    (folder / "slurm").symlink_to("workflow/profiles/slurm")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for key, value in (("user.name", "test"), ("user.email", "test@example.org")):
        run(folder, "git", "config", key, value)
    commit(folder)
    for block in documents.blocks("docs/quickstart.md"):
        if block.declared == "tests/docs/test_docs_quickstart.py":
            script = block.text
            for large, small in SMALL.items():
                script = script.replace(large, small)
            with (folder / f"{block.section}.log").open("a") as file:
                file.write(run(folder, "bash", "-euo", "pipefail", "-c", script))
    return folder


def log(project: Path, section: str) -> str:
    return (project / f"{section}.log").read_text()


def test_tables_are_of_the_text(project):
    dataset = json.loads((project / "data/files-carry-16/dataset.json").read_text())
    assert dataset["packing"] == "carry"  # as the folder's name has it
    assert dataset["statistics"]["source"] == "8 files of texts/*.txt"
    rows = pd.read_csv(project / "results/mine/tables/tables.csv")
    assert {"teacher", "imdm/sdtt1-redi"} <= set(rows["model"])
    assert "Gen-PPL" in log(project, "Look") and "Table 5" in log(project, "Look")


def test_snakemakes_report_labels_tables_and_figures(project):
    page = (project / "results/mine/snakemake.html").read_text()
    for name, shows in (("Table 04", "Gen-PPL"), ("Figure 02", plan.title("figure02")), ("Frontier", plan.title("frontier"))):
        assert f'"file": "{name}", "shows": "{shows}"' in page, name
    assert "Does IMDM beat MDLM?" in page and "so nothing is compared." in page  # the first page


def test_one_model_is_sampled_and_scored(project):
    scores = json.loads((project / "results/mine/more/scores/scores.json").read_text())
    assert scores["model"] == "imdm/sdtt1-redi" and list(scores["metrics"]["gen_ppl"]) == ["1", "3"]


def test_the_model_writes(project):
    said = log(project, "Let it write")
    assert "--- 1 of 2\n" in said and "\nthe list" in said and " of\n" in said
    assert "\x1b[" not in said  # colours; a lone escape may be a byte of the model's own


def test_models_are_kept_with_the_judge(project):
    kept = project / "results/kept"
    assert (kept / "models/imdm/sdtt1-redi/model.safetensors").is_file() and (kept / "models/teacher/README.md").is_file()
    assert (kept / "judge/judge.json").is_file() and "MB; `imdm play results/kept`" in log(project, "Let it write")


def test_the_model_is_exported_with_its_scores(project):
    card = (project / "results/mine/exported/README.md").read_text()
    assert re.search(r"\| seeds \| .*train 0", card) and "| training data | files: " in card
    assert "license: mit" in card and "| gen_ppl |" in card and (project / "results/mine/exported/modeling_imdm.py").is_file()


def test_samples_of_plain_transformers_are_scored(project):
    text = log(project, "Samples of another system")
    assert all(f"| {name} |" in text for name in ("Real text", "5-gram model", "Periodic sampler", "External: samples of theirs"))
    rows = pd.read_csv(project / "results/mine/tables/scoreboard.csv")
    assert set(rows["kind"]) == {"judge", "reference", "control", "samples"} and set(rows["model"]) >= {"external/theirs", "held-out"}


def test_dvc_shows_metrics_and_plots_and_has_nothing_to_do(project):
    text = log(project, "With DVC")
    assert "results/mine/report.summary.json" in text and "up to date" in text
    plots = json.loads((project / "results/mine/plots.json").read_text())
    assert plots


def test_what_dvc_shows_has_its_provenance(project):
    for folder, name, meta in ("", "report.summary.json", "report.meta.json"), ("scores/imdm/sdtt1-redi", "scores.json", "meta.json"):
        file = project / "results/mine" / folder / name
        about = json.loads(file.with_name(meta).read_text())
        assert file.name in about["outputs"] and about["git"] and about["code"] and about["inputs"], file
        assert about["seconds"] > 0 and about["peak_memory_mib"]["host"] > 0 and about["libraries"]["torch"], file
