"""Artifacts that are made once and shared: every command of docs/caching.md, on stages that cost nothing."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from checkout import ROOT, clone, commit, run
from dag import graph, stub

pytestmark = pytest.mark.slow
SHARED = ("models/teacher", "judge", "reference", "couplings/teacher", "synthetic")
SECTIONS = dict(re.findall(r"(?ms)^## (.*?)\n.*?^```bash\n(.*?)^```", (ROOT / "docs/caching.md").read_text()))
TEACHER = "results/{}/models/teacher/model.safetensors"
COUPLINGS = "results/{}/couplings/teacher/couplings.safetensors"
CACHE = ("--cache", "pretrain", "couple")
TWO_SHARDS = ("--config", "shards={couplings: 2}")


def small(target: Path, *sets: str) -> Path:
    """A clone with a few jobs, the teacher's couplings among them."""
    return clone(target, "tests/micro.yaml", ("compare={variants: [imdm], recipes: [redi]}", *sets), dvc=True)


def texts(folder: Path) -> tuple[str, ...]:
    """The settings for a corpus of some text in `folder`."""
    (folder / "texts").mkdir()
    (folder / "texts/one.txt").write_text("\n\n".join(f"Text {i} says that {i} and {i + 1} make {2 * i + 1}." for i in range(400)))
    return "corpus.name=files", f"corpus.path={folder / 'texts/*'}"


def stubs(target: Path, *runs: str, sets: tuple[str, ...] = ()) -> Path:
    """Such a clone whose stages write what the real ones would, for these runs besides its own; meta.json tells who made it."""
    project = small(target, *sets)
    shards = {job.out: sorted(job.outputs) for job in graph.jobs(project, COUPLINGS.format("micro"), *TWO_SHARDS)}
    stub(project, "all", runs=runs)
    outputs = project / "outputs.json"
    outputs.write_text(json.dumps(shards | json.loads(outputs.read_text())))
    commit(project)
    return project


def follow(project: Path, section: str) -> str:
    """Run the commands of a section of the page, as one script."""
    script = SECTIONS[section].replace("tiny", "micro").replace("/shared/", f"{project.parent}/")
    return run(project, "bash", "-euc", script)


def maker(project: Path, folder: str) -> str:
    return (project / folder / "meta.json").read_text()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs with one cache, the first of them registered."""
    project = stubs(tmp_path_factory.mktemp("shared") / "project", "other")
    follow(project, "Between runs of Snakemake")
    assert (project / TEACHER.format("micro")).is_symlink()
    follow(project, "Snakemake's results in DVC")
    return project


def test_two_runs_share_what_the_page_says_and_nothing_else(shared):
    for name in SHARED:
        assert maker(shared, f"results/micro/{name}") == maker(shared, f"results/other/{name}"), name
    for name in ("models/imdm/teacher", "models/imdm/redi", "samples/teacher", "scores/teacher"):
        assert maker(shared, f"results/micro/{name}") != maker(shared, f"results/other/{name}"), name


def test_a_registered_run_is_dvcs_and_no_longer_needs_the_cache(shared):
    assert "up to date" in run(shared, "dvc", "status")
    assert not run(shared, "git", "status", "--porcelain")
    text = run(shared, "dvc", "repro")
    assert "up to date" in text and "Running stage" not in text
    assert "Nothing to be done" in run(shared, "snakemake", "--dry-run", "register", "all")
    assert not any(file.is_symlink() for file in (shared / "results/micro").rglob("*"))
    assert all(file.resolve() != file for file in (shared / "results/other/judge").iterdir())


def test_what_makes_an_entry_of_its_own(tmp_path, monkeypatch):
    project = stubs(tmp_path / "project", "same", "seed", "width", "data", "code")
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("SNAKEMAKE_OUTPUT_CACHE", str(tmp_path / "cache"))

    def make(name: str, *changes: str) -> str:
        run(project, "snakemake", "--cores", "1", COUPLINGS.format(name), "--config", f"run={name}", *changes, *CACHE)
        return " ".join(maker(project, f"results/{name}/{folder}") for folder in ("models/teacher", "couplings/teacher"))

    makers = [make("micro")]
    assert make("same", "noise_dim=64") == makers[0]
    makers.append(make("seed", "seeds={train: 1}"))
    makers.append(make("width", "network={hidden_size: 32}"))
    library = project / "src/imdm/errors.py"
    library.write_text(library.read_text() + "# an edit\n")
    assert "Nothing to be done" in run(project, "snakemake", "--dry-run", COUPLINGS.format("same"), "--config", "run=same")
    makers.append(make("code"))
    (dataset,) = project.glob("data/*/dataset.json")
    dataset.write_text("other text")
    makers.append(make("data"))
    assert len({teacher for pair in makers for teacher in pair.split()}) == 2 * len(makers)


def test_a_cache_that_cannot_keep_anything_is_refused_before_the_work(tmp_path, monkeypatch):
    project = small(tmp_path)
    for folder in ("", str(tmp_path / "none")):
        monkeypatch.setenv("SNAKEMAKE_OUTPUT_CACHE", folder)
        with pytest.raises(AssertionError, match="create one and name it in SNAKEMAKE_OUTPUT_CACHE"):
            run(project, "snakemake", "--dry-run", "all", *CACHE)


def test_a_fresh_clone_pulls_the_teacher_and_trains_the_rest(shared, monkeypatch):
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "test")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "test@example.org")
    ran = set(re.findall(r"Running stage '([^']+)'", follow(shared, "Between clones: DVC's remote")))
    fresh = shared.parent / "fresh"
    assert {"initialize-imdm-teacher", "redi-imdm-redi", "train_judge"} <= ran and not {"tokenize_pack", "pretrain-teacher"} & ran
    assert maker(fresh, "results/micro/models/teacher") == maker(shared, "results/micro/models/teacher")
    (fresh / TEACHER.format("micro")).unlink()
    (pull,) = re.findall(r"`(dvc pull results/\S+)`", (ROOT / "docs/caching.md").read_text())
    run(fresh, *pull.replace("tiny", "micro").split())
    assert (fresh / TEACHER.format("micro")).exists()


def test_two_experiments_of_the_queue_share_a_teacher(shared):
    follow(shared, "Between experiments: DVC's run cache")
    deadline = time.monotonic() + 240
    while re.search("Queued|Running", run(shared, "dvc", "queue", "status")):
        assert time.monotonic() < deadline, run(shared, "dvc", "queue", "status")
        time.sleep(1)
    assert "Running stage 'pretrain-teacher'" in run(shared, "dvc", "queue", "logs", "wide")
    text = run(shared, "dvc", "queue", "logs", "wide-64")
    assert "Stage 'pretrain-teacher' is cached - skipping run" in text and "Running stage 'initialize-imdm-teacher'" in text
    table = run(shared, "dvc", "exp", "show", "--csv")
    assert re.search(r"\bwide,", table) and re.search(r"\bwide-64,", table)


def test_a_loaded_teacher_has_the_other_runs_weights(tmp_path):
    """With the real stages."""
    project = small(tmp_path / "project", *texts(tmp_path))
    run(project, "snakemake", "--cores", "1", TEACHER.format("micro"))
    command = SECTIONS["One teacher by its path"].replace("tiny", "micro")
    run(project, "bash", "-euc", command.replace(" all ", f" {TEACHER.format('loaded')} "))
    one, other = (load_file(project / TEACHER.format(name)) for name in ("micro", "loaded"))
    assert {name.split(".")[0] for name in one} == {"online", "ema"} and one.keys() == other.keys()
    assert all(one[name].equal(other[name]) for name in one)
    assert any(not one[name].equal(one[name.replace("online.", "ema.")]) for name in one)
