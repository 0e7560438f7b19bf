"""The page of a run, which shows what is of that run and tells what is not, and the pages of samples: one file each."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

import fake_run
from imdm.data.blocks import Dataset
from imdm.results.plan import PAGES
from imdm.results.provenance import Run, Settings


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


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return (run / "report.html").read_text(encoding="utf-8")


def shown(run: Path, page: str = "report") -> set[str]:
    """The ids of a page."""
    return set(Page((run / f"{page}.html").read_text(encoding="utf-8")).ids)


def refused(run: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """The one sentence that ends the stage, which leaves no page behind."""
    (run / "report.html").unlink(missing_ok=True)
    capsys.readouterr()
    assert fake_run.report(run, *options) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and not (run / "report.html").exists()
    return message


def test_page_is_one_file_that_loads_nothing(page):
    parsed = Page(page)
    assert not parsed.open
    assert all(address.startswith(("#", "data:")) for address in parsed.addresses)
    assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttpRequest", page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert len(page.encode()) < 5e6
    assert {address.removeprefix("#") for address in parsed.addresses if address.startswith("#")} <= set(parsed.ids)


def test_page_escapes_what_samples_hold(page):
    assert Page(page).tags.count("script") == 2  # the data and the code: none from a sample
    assert page.count("</script>") == 2
    assert "\\u003c" in page
    assert "alert(1)</script>" not in page


def test_a_page_shows_what_was_made_and_names_the_rest(copy):
    exhibits = {"factorization-table", "figure03", "table06"}
    assert {"figure02", "table01", "table04", "table05", "frontier", "frontier-table", "training"} | exhibits <= shown(copy)
    for name in ("factorization.svg", "figure03.svg", "figure04.html"):
        (copy / "figures" / name).unlink()
    assert fake_run.report(copy) == 0
    assert exhibits & shown(copy) == {"table06"} and "factorization" in shown(copy)
    text = (copy / "report.html").read_text()
    assert "snakemake --cores 2 extras" in text and f"snakemake --cores 2 {copy}/figures/figure04.html" in text
    assert "<summary>Figure 6." in text and "<summary>Figure 4." not in text


def test_what_is_of_other_scores_is_not_shown(copy, capsys):
    assert {"table06", "table13"} <= shown(copy)
    fake_run.scores(copy / "scores" / fake_run.DI4C, fake_run.DI4C, 5.9, 2.8)  # of Table 6 alone
    assert fake_run.report(copy) == 0
    assert "table13" in shown(copy) and "table06" not in shown(copy)
    assert f"another scores/{fake_run.DI4C}/" in (copy / "report.html").read_text()
    fake_run.scores(copy / "scores/mdlm/sdtt3", "mdlm/sdtt3", 5.9, 2.8)
    message = refused(copy, capsys)
    assert "another scores/mdlm/sdtt3/" in message and f"run `snakemake --cores 2 --force {copy}/tables/tables.csv`" in message


def test_another_runs_artifacts_are_refused(copy, capsys):
    assert "'tiny'" in refused(copy, capsys, "--set", "run=other")
    for file in ("scores/teacher/scores.json", "scores/teacher/per_sample.parquet"):
        (copy / file).unlink()
    assert "scores/teacher/per_sample.parquet, which is not in this run" in refused(copy, capsys)


def test_what_lies_there_without_a_meta_json_is_not_shown(copy, capsys):
    """As a file that came with the checkout."""
    (copy / "tables/table06.meta.json").unlink()
    shutil.copy(copy / "tables/table06.json", copy / "tables/table15.json")
    (copy / "figures/extra.svg").write_text("<svg></svg>")
    assert fake_run.report(copy) == 0
    assert not {"table06", "table15", "extra"} & shown(copy)
    (copy / "tables/tables.meta.json").unlink()
    assert "tables/tables.csv has no meta.json" in refused(copy, capsys)


@pytest.mark.parametrize("file", ["tables/table05.json", "figures/figure02.svg", "samples/mdlm/redi/samples.safetensors"])
def test_edited_files_are_refused(copy, capsys, file):
    with (copy / file).open("ab") as opened:
        opened.write(b" ")
    assert f"{copy / file} is damaged or was edited" in refused(copy, capsys)


def test_extras_wait_for_what_they_show(copy, capsys):
    (copy / "figures/factorization.png").unlink()
    assert fake_run.report(copy, page="extras") == 2
    assert f"{copy}/figures/factorization.png does not exist" in capsys.readouterr().err


def test_report_refuses_samples_of_another_tokenizer(copy, capsys):
    data = copy.parents[1] / "data" / fake_run.DATA
    digest = json.loads((data / "dataset.json").read_text())["tokenizer_sha256"]
    (data / "dataset.json").write_text((data / "dataset.json").read_text().replace(digest, "0" * 64))
    (data / "meta.json").unlink()
    assert "tokenizer" in refused(copy, capsys)


def test_faults_are_found_along_the_whole_history(tmp_path):
    results = tmp_path / "results" / "r"

    def artifact(folder: Path, name: str, text: str, stage: str, *inputs: Path) -> Path:
        fake_run.artifact(folder, stage, {name: text}, *inputs)
        return folder / name

    def chain(text: str) -> list[Path]:
        data = artifact(tmp_path / "data", "dataset.json", "d", "tokenize_pack")
        model = artifact(results / "models/teacher", "model.safetensors", text, "pretrain", data)
        shard = artifact(results / "shards/samples/teacher/1", "samples.safetensors", "s", "sample", model)
        samples = artifact(results / "samples/teacher", "samples.safetensors", "s", "merge", shard)
        return [data, model, samples, artifact(results / "scores/teacher", "scores.json", "1", "score", samples, model)]

    data, model, samples, scores = chain("weights")
    fault = lambda: Run(results, data, "r").fault(scores)  # noqa: E731
    assert fault() == ""
    assert [path.name for path in Run(results, data, "r").history([scores])] == ["data", "teacher", "1", "teacher", "teacher"]
    shutil.rmtree(results / "shards")  # a job's shards are deleted when they are merged
    assert fault() == ""
    shutil.copytree(results, tmp_path / "elsewhere" / "r")
    assert Run(tmp_path / "elsewhere" / "r", data, "r").fault(tmp_path / "elsewhere" / "r" / "scores/teacher/scores.json") == ""
    artifact(tmp_path / "data", "dataset.json", "other", "tokenize_pack")
    assert "made from another" in fault() and "dataset.json" in fault()
    chain("weights")
    model.write_text("edited")
    assert fault().startswith(f"was made from {model}, which is damaged or was edited")
    chain("weights")
    samples.unlink()
    assert fault().endswith("is not in this run")


def test_commands_have_the_runs_parameters():
    assert Settings(["params.yaml"], []).command("all") == "snakemake --cores 2 all"
    command = Settings(["presets/lm1b.yaml"], ["noise_dim=64"]).command("x.csv", again=True)
    assert command == "snakemake --cores 2 --force x.csv --configfile presets/lm1b.yaml --config noise_dim=64"


# Pages of samples: Figures 4 and 6 to 13


def test_pages_are_one_file_and_escape_what_samples_hold(run):
    for name in PAGES:
        page = Page((run / f"figures/{name}.html").read_text())
        assert not page.open and "script" not in page.tags and all(address.startswith("data:") for address in page.addresses)
    assert "&lt;script&gt;alert" in re.sub("<[^>]*>", "", (run / "figures/figure06.html").read_text())


def test_each_page_is_of_its_model_and_steps(run):
    expected = {"figure06": ("teacher", 4), "figure07": ("teacher", 8), "figure10": (fake_run.DI4C, 4), "figure13": ("imdm/sdtt3-redi", 8)}
    for name, (model, steps) in expected.items():
        text = (run / f"figures/{name}.html").read_text()
        assert f"at {steps} steps</h1>" in text and f'<p class="lead">{model} ' in text


def test_prompts_are_marked_and_shared_by_their_completions(run):
    page = (run / "figures/figure04.html").read_text()
    given = ["".join(re.findall(r'<span class="piece given">([^<]*)</span>', line)) for line in page.splitlines() if "<li>" in line]
    assert len(given) == 12 and [len(set(given[i : i + 3])) for i in range(0, 12, 3)] == [1] * 4 and len(set(given)) == 4
    assert 'class="prompted"' in page and 'class="prompted"' not in (run / "figures/figure06.html").read_text()


def test_a_step_count_that_was_not_sampled_is_replaced_and_told(copy, monkeypatch):
    monkeypatch.setattr(fake_run, "STEPS", (1, 2, 16))
    dataset = Dataset.open(fake_run.dataset_of(copy))
    fake_run.samples(copy / "samples/teacher", "teacher", dataset.tokenizer(), dataset.tokenizer_sha256)
    assert fake_run.exhibit(copy, "figure07") == 0
    text = (copy / "figures/figure07.html").read_text()
    assert "at 16 steps</h1>" in text and "8 steps, at which this run was not sampled" in text
