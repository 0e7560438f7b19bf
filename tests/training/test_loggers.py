"""Loggers show the rows of train_log.csv, whatever interrupted the training."""

import csv
import importlib.util
import subprocess
from pathlib import Path

import pytest

from corpora import few_words
from imdm.errors import UserError
from imdm.training.loggers import open_loggers
from script import command
from trainings import SETS, killed


def logged(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of each value that TensorBoard and DVCLive hold, by logger and name."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,), (live,) = ((folder / "logs" / name).iterdir() for name in ("tensorboard", "dvclive"))
    board, found = EventAccumulator(str(events)).Reload(), {}
    for name in ("loss", "lr"):
        found[f"tensorboard {name}"] = [(event.step, event.value) for event in board.Scalars(name)]
        rows = csv.DictReader((live / "plots" / "metrics" / f"{name}.tsv").open(), delimiter="\t")
        found[f"dvclive {name}"] = [(int(row["step"]), float(row[name])) for row in rows]
    return found


@pytest.mark.slow
def test_loggers_show_the_rows_of_the_log_after_a_kill_too(tmp_path, monkeypatch):
    data = few_words(tmp_path).path
    monkeypatch.chdir(tmp_path)
    words = command("pretrain", "--data", data, "--out", "teacher", sets=[*SETS, "runtime.loggers=[tensorboard,dvclive]"])
    killed(words, tmp_path / "teacher.partial")
    subprocess.run(words, check=True)
    assert not (tmp_path / "dvc.yaml").exists()
    rows = list(csv.DictReader((tmp_path / "teacher/train_log.csv").open()))
    for name, values in logged(tmp_path).items():
        assert [step for step, _ in values] == [int(row["step"]) for row in rows], name
        assert [value for _, value in values] == pytest.approx([float(row[name.split()[1]]) for row in rows], rel=1e-3)


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_logger_that_is_not_installed_is_named_before_the_first_step(name, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted: None if wanted == name else found(wanted))
    with pytest.raises(UserError, match=f"names {name}, which is not installed; run `pip install {name}`"):
        open_loggers(["tensorboard", name], "teacher", tmp_path, [])
    assert not list(tmp_path.iterdir())


def test_a_resumed_training_goes_on_in_the_run_of_trackio(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio", reason="trackio is an option")
    from trackio.sqlite_storage import SQLiteStorage

    monkeypatch.chdir(tmp_path)
    rows = [(1, {"loss": 2.0}), (2, {"loss": 1.0}), (3, {"loss": 0.5})]
    for done, more in (([], rows[:2]), (rows[:2], rows[2:])):
        (logger,) = open_loggers(["trackio"], "teacher", tmp_path, done)
        for step, values in more:
            logger.log_metrics(values, step)
        logger.finalize("success")
    (run,) = SQLiteStorage.get_runs("imdm")
    assert [(point["step"], point["loss"]) for point in SQLiteStorage.get_logs("imdm", run)] == [(1, 2.0), (2, 1.0), (3, 0.5)]


def test_a_resumed_training_goes_on_in_the_run_of_wandb(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="wandb is an option")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    for done in ([], [(1, {"loss": 2.0})]):
        (logger,) = open_loggers(["wandb"], "teacher", tmp_path, done)
        logger.log_metrics({"loss": 1.0}, 2)
        logger.experiment.finish()
    first, second = sorted(path.name for path in (tmp_path / "logs/wandb/wandb").glob("offline-run-*"))
    assert first.rpartition("-")[2] == second.rpartition("-")[2]  # the run's id
