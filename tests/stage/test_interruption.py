"""Stages that are killed, or told to stop, and run again: the same bytes as without, and no finished work is done twice."""

import json
import os
import shutil
from collections import Counter
from random import Random
from signal import SIGKILL, SIGTERM

import pytest

import killing
from checkout import ROOT
from kills import STAGES, Project, content, kept, kill

TRAININGS = ("train_judge", "pretrain", "finetune", "di4c", "sdtt", "redi")
GENERATIONS = ("couple", "sample", "complete", "match_entropy", "frontier")
JUDGED = ("reference", "score", "controls")
QUICK = ("pretrain", "sample")  # of a training and of a generation, also in `make test`


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        return Project(tmp_path_factory.mktemp("project"))


@pytest.mark.parametrize(
    "stage",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in TRAININGS + GENERATIONS + JUDGED + ("tokenize_pack",)
    ],
)
def test_the_same_bytes_after_interruptions(stage, project, tmp_path):
    """Before anything is put aside, twice in the middle, by either signal, and when all is done but not yet in place."""
    undisturbed, draw, out = project.undisturbed(stage), Random(stage), tmp_path / stage
    aside = kept(undisturbed)
    assert bool(aside) == (stage in TRAININGS + GENERATIONS + JUDGED)
    last = undisturbed.changes.index(f"rename {stage}.partial {stage}")
    first = undisturbed.changes.index(aside[0]) if aside else last // 2
    signals = draw.sample([SIGKILL, SIGTERM], 2)
    stops = [
        (draw.randint(0, first), draw.choice(signals)),
        (draw.randint(first + 1, (first + last) // 2), signals[0]),
        (draw.randint(1, 6), signals[1]),  # not later: a training that is done ends in spite of SIGTERM
        (f"rename {stage}.partial {stage}", SIGKILL),
    ]
    runs = [project.run(stage, out, stop=stop) for stop in stops]
    for ended, (_, signal) in zip(runs, stops):
        assert ended.code == (143 if signal == SIGTERM else -SIGKILL), ended.said
        assert "Traceback" not in ended.said
    assert not out.exists()
    runs.append(project.run(stage, out))
    assert runs[-1].code == 0, runs[-1].said
    assert json.loads((out / "meta.json").read_text())["resumed"]
    assert content(out) == content(project.folder / stage)
    assert not out.with_name(f"{stage}.partial").exists()
    assert Counter(change for ended in runs for change in kept(ended)) == Counter(aside)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [lambda whole: b"", lambda whole: whole[:1000], lambda whole: whole[:5000] + b"?" + whole[5001:]])
def test_a_checkpoint_that_is_not_whole_counts_as_none(project, tmp_path, damage):
    stop = project.undisturbed("pretrain").changes.index("rename pretrain.partial pretrain")
    assert project.run("pretrain", tmp_path / "pretrain", stop=(stop, SIGKILL)).code == -SIGKILL
    checkpoint = tmp_path / "pretrain.partial/.resume/last.ckpt"
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    ended = project.run("pretrain", tmp_path / "pretrain")
    assert ended.code == 0 and "last.ckpt is damaged" in ended.said
    assert content(tmp_path / "pretrain") == content(project.folder / "pretrain")


@pytest.mark.parametrize("stage", ["pretrain", pytest.param("sdtt", marks=pytest.mark.slow)])
def test_a_training_that_is_told_to_stop_says_so(stage, project, tmp_path):
    ended = project.run(stage, tmp_path / stage, stop=(kept(project.undisturbed(stage))[0], SIGTERM))
    assert ended.code == 143 and "stopped at step 2 and saved; run again to continue." in ended.said
    assert (tmp_path / f"{stage}.partial/.resume/last.ckpt").exists() and not (tmp_path / stage).exists()


@pytest.mark.slow
def test_a_kill_at_any_moment_of_putting_an_artifact_in_place(project, tmp_path):
    """An older artifact is replaced: there are states with both, and one with neither at its place."""
    project.undisturbed("sample")
    out, older = tmp_path / "sample", tmp_path / "older"
    assert project.run("sample", older, "seeds.sampling=9").code == 0
    shutil.copytree(older, out)
    changes = project.run("sample", out).changes
    before, wanted = content(older), content(project.folder / "sample")
    assert content(out) == wanted != before
    placing = changes.index("rename sample.partial sample")
    assert changes[placing - 1] == "rename sample sample.partial/.replaced"
    for moment in range(changes.index("open sample.partial/.new-meta.json"), len(changes)):
        shutil.rmtree(out)
        shutil.copytree(older, out)
        assert project.run("sample", out, stop=(moment, SIGKILL)).code == -SIGKILL
        assert out.exists() == (moment != placing)
        if out.exists():
            assert (out / "samples.safetensors").read_bytes() == (wanted if moment > placing else before)["samples.safetensors"]
        ended = project.run("sample", out)
        assert ended.code == 0 and content(out) == wanted
        assert bool(kept(ended)) == (moment > placing)  # till then every chunk is there already
        assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"older", "sample"}


@pytest.mark.slow
def test_seeds_of_the_synthetic_task_are_kept(project, tmp_path):
    task, sets = "synthetic", ["synthetic.seeds=[0,1]"]
    whole = killing.run(task, tmp_path / "whole", sets=sets)
    assert whole.code == 0 and len(kept(whole)) == 2, whole.said
    stops = [("open out.partial/.seeds/.new-0.json", SIGKILL), ("open out.partial/.seeds/.new-1.json", SIGTERM), None]
    runs = [killing.run(task, tmp_path / "out", sets=sets, stop=stop) for stop in stops]
    assert [ended.code for ended in runs] == [-SIGKILL, 143, 0], runs[-1].said
    assert [len(kept(ended)) for ended in runs] == [0, 1, 1]
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_every_stage_that_writes_an_output_is_killed():
    assert sorted([*STAGES, "generate", "preflight"]) == sorted(path.stem for path in (ROOT / "stages").glob("[!_]*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_kills_at_random_moments(stage, project, tmp_path):
    """Also between open and write, and with the machine; IMDM_KILLS of each stage, or `python tests/kills.py` for a table."""
    kills, wrong = kill(project, stage, tmp_path, int(os.environ.get("IMDM_KILLS", "2")), Random(stage))
    assert not wrong and kills.total()
