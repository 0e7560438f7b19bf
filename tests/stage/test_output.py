"""Artifacts are complete or absent; interrupted work is kept, but only for the same run."""

import contextlib
import itertools
import json
import multiprocessing
import os
import threading
import types

import pytest
import torch

from imdm.errors import UserError
from imdm.stage import chunks, follower
from imdm.stage.artifact import verify
from imdm.stage.chunks import in_chunks
from imdm.stage.follower import Follower
from imdm.stage.output import AlreadyMade, Output


def test_an_artifact_appears_at_once_and_replaces_the_old_one(tmp_path):
    out = tmp_path / "a"
    for text in ("one", "two"):
        with Output(out, "sample", "f") as output:
            (output.partial / "file.txt").write_text(text)
            (output.partial / ".chunks").mkdir()
            assert not out.exists() or (out / "file.txt").read_text() != text
            output.commit({"outputs": output.digests()})
        assert (out / "file.txt").read_text() == text
    assert sorted(path.name for path in out.iterdir()) == ["file.txt", "meta.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_files_of_a_shared_folder(tmp_path):
    for name in ("table03", "table06"):
        with Output(tmp_path / f"{name}.csv", "exhibit", name, file=True) as output:
            for suffix in ("csv", "md"):
                (output.partial / f"{name}.{suffix}").write_text(name)
            output.commit({"outputs": output.digests()})
    names = [f"{name}.{suffix}" for name in ("table03", "table06") for suffix in ("csv", "md", "meta.json")]
    assert [path.name for path in sorted(tmp_path.iterdir())] == names
    verify(tmp_path / "table06.md")
    (tmp_path / "table06.md").write_text("other")
    with pytest.raises(UserError, match=r"table06.md is damaged .* run stage exhibit again"):
        verify(tmp_path / "table06.md")


@pytest.mark.parametrize(("fingerprint", "resumed"), [("same", True), ("other", False)])
def test_work_in_progress_is_kept_for_the_same_run_only(tmp_path, fingerprint, resumed):
    with pytest.raises(KeyboardInterrupt), Output(tmp_path / "a", "sample", "same") as output:
        (output.partial / ".resume").mkdir()
        (output.partial / ".resume" / "last.ckpt").write_text("half")
        raise KeyboardInterrupt
    with Output(tmp_path / "a", "sample", fingerprint) as output:
        assert output.resumed == resumed
        assert (output.partial / ".resume").exists() == resumed


def test_an_edit_of_the_code_loses_no_work_and_is_recorded(tmp_path, capsys):
    for code in ("one", "two"):
        with pytest.raises(KeyboardInterrupt), Output(tmp_path / "a", "sample", "f", code) as output:
            (output.partial / ".resume").mkdir(exist_ok=True)
            raise KeyboardInterrupt
    with Output(tmp_path / "a", "sample", "f", "three") as output:
        assert output.resumed and (output.partial / ".resume").exists()
        assert output.older_code == ["one", "two"]
    assert "what other code began" in capsys.readouterr().err
    with Output(tmp_path / "a", "sample", "g", "three") as output:
        assert not output.resumed and output.older_code == []


def write_slowly(out, fingerprint, content, started, go_on):
    with Output(out, "sample", fingerprint, file=bool(out.suffix)) as output:
        started.set()
        go_on.wait()
        (output.partial / "file.txt").write_text(content)
        output.commit({"outputs": output.digests()})


@pytest.mark.parametrize(("name", "ends"), [("a", "finished"), ("a", "another"), ("a", "killed"), ("file.txt", "finished")])
def test_a_second_writer_waits_for_the_first(tmp_path, name, ends):
    """What was asked for is there then; if not, the second makes it."""
    out, context = tmp_path / name, multiprocessing.get_context("fork")
    started, go_on = context.Event(), context.Event()
    first = context.Process(target=write_slowly, args=(out, "other" if ends == "another" else "f", "first", started, go_on))
    first.start()
    assert started.wait(60)
    threading.Timer(0.2, first.kill if ends == "killed" else go_on.set).start()
    try:
        with Output(out, "sample", "f", file=bool(out.suffix)) as second:
            (second.partial / "file.txt").write_text("second")
            second.commit({"outputs": second.digests()})
    except AlreadyMade:
        assert ends == "finished"
    else:
        assert ends != "finished"
    first.join()
    file = (tmp_path if out.suffix else out) / "file.txt"
    assert file.read_text() == ("first" if ends == "finished" else "second")
    assert not list(tmp_path.glob("*.partial"))


def follow(out, launch, begins):
    os.environ["IMDM_LAUNCH"] = launch
    try:
        with Follower(out, "sample", "f"):
            begins.put("begun")
    except (AlreadyMade, UserError) as error:
        begins.put(type(error).__name__)


@pytest.mark.parametrize("ends", ["finished", "killed"])
def test_other_processes_of_a_training_wait_with_their_first(tmp_path, monkeypatch, ends):
    """While another training writes the artifact; then they begin, or end with it."""
    monkeypatch.setattr(follower, "_PATIENCE", 2)
    out, context = tmp_path / "a", multiprocessing.get_context("fork")
    started, go_on, begins = context.Event(), context.Event(), context.Queue()
    monkeypatch.setenv("IMDM_LAUNCH", "one")
    writer = context.Process(target=write_slowly, args=(out, "f", "first", started, go_on))
    writer.start()
    assert started.wait(60)
    other = context.Process(target=follow, args=(out, "two", begins))
    other.start()
    threading.Timer(0.5, writer.kill if ends == "killed" else go_on.set).start()
    monkeypatch.setenv("IMDM_LAUNCH", "two")
    with contextlib.suppress(AlreadyMade), Output(out, "sample", "f"):
        assert begins.get(timeout=60) == "begun"
    assert ends == "killed" or begins.get(timeout=60) == "AlreadyMade"
    other.join(60), writer.join(60)


def test_other_processes_of_a_training_miss_their_first(tmp_path, monkeypatch):
    monkeypatch.setattr(follower, "_PATIENCE", 0.2)
    monkeypatch.setenv("IMDM_LAUNCH", "one")
    with pytest.raises(UserError, match="was not begun by the first process"), Follower(tmp_path / "a", "sample", "f"):
        pass
    with Output(tmp_path / "a", "sample", "f"), pytest.raises(UserError, match="other parameters"), Follower(tmp_path / "a", "sample", "g"):
        pass


def test_a_changed_byte_is_noticed(tmp_path):
    with Output(tmp_path / "a", "pretrain", "f") as output:
        (output.partial / "w.bin").write_bytes(b"12345")
        output.commit({"outputs": output.digests()})
    file = tmp_path / "a" / "w.bin"
    digest = verify(file)
    assert digest == json.loads((tmp_path / "a" / "meta.json").read_text())["outputs"]["w.bin"]
    file.write_bytes(b"12346")
    for place in (file, tmp_path):
        with pytest.raises(UserError, match=r"w.bin is damaged .* run stage pretrain again"):
            verify(place)
    (tmp_path / "b.partial").mkdir()
    file.unlink()
    with pytest.raises(UserError, match="holds no finished artifact"):
        verify(tmp_path)


@pytest.mark.parametrize("stop", [0, 3, 6])
def test_chunks_go_on_where_they_stopped(tmp_path, stop, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(chunks, "time", types.SimpleNamespace(perf_counter=lambda: 0.1 * next(clock)))
    bar = types.SimpleNamespace(update=lambda n: None, __enter__=None)

    class Bar:
        def __enter__(self):
            return bar

        def __exit__(self, *_):
            return None

    made = []

    def make(first, count):
        if len(made) == stop and stop not in made:
            raise KeyboardInterrupt
        made.append(first)
        return {"x": torch.arange(first, first + count)}

    with pytest.raises(KeyboardInterrupt):
        in_chunks(tmp_path, range(30), 4, make, progress=lambda total, unit: Bar())
    before, stop = list(made), -1
    result, seconds = in_chunks(tmp_path, range(30), 4, make, progress=lambda total, unit: Bar())
    assert result.keys() == {"x"} and torch.equal(result["x"], torch.arange(30))
    assert seconds == pytest.approx(0.1 * 8)  # those before the interruption too
    assert made == list(range(0, 30, 4)) and made[: len(before)] == before
