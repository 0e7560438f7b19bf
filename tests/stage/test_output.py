"""Outputs are complete or absent, and replace nothing that a stage did not make; interrupted work is kept, but only for the same run."""

import contextlib
import errno
import itertools
import json
import math
import multiprocessing
import os
import stat
import threading
import types

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from imdm.errors import UserError
from imdm.stage import chunks
from imdm.stage.artifact import verify, write_json
from imdm.stage.chunks import in_chunks
from imdm.stage.output import AlreadyMade, Output, launch
from imdm.stage.shards import save_rows
from imdm.writing import whole

# What the harness writes of a run besides its outputs.
ABOUT = {"inputs": {}, "parameters": {}, "metrics": {}, "seconds": 1.0, "resumed": False, "peak_memory_mib": {}, "git": None}


def write(out, stage="sample", names=("x.txt",), text="new", fingerprint=None, meanwhile=lambda: None, **more):
    """The output of a stage, of files that all hold `text`."""
    with Output(out, stage, fingerprint or text, **more) as output:
        meanwhile()
        for name in names:
            (output.partial / name).write_text(text)
        commit(output)


def commit(output):
    output.commit(ABOUT | {"outputs": output.digests()})


def tree(folder):
    """All that lies in a folder: content of files, targets of links."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
    return {name: os.readlink(path) if path.is_symlink() else path.is_file() and path.read_text() for name, path in found.items()}


def mine(path, text="mine"):
    """A file that no stage has made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@contextlib.contextmanager
def interrupted(*args):
    """An output whose stage is stopped, as by Ctrl-C."""
    with pytest.raises(KeyboardInterrupt), Output(*args) as output:
        yield output
        raise KeyboardInterrupt


def linked(path):
    """Move a folder to `place`, and leave a link to it."""
    path.rename(path.with_name("place"))
    path.symlink_to("place")


def test_an_artifact_appears_at_once_and_replaces_the_old_one(tmp_path):
    out = tmp_path / "a"
    for text in ("one", "two"):
        with Output(out, "sample", "f") as output:
            (output.partial / "file.txt").write_text(text)
            (output.partial / ".chunks").mkdir()
            assert not out.exists() or (out / "file.txt").read_text() != text
            commit(output)
        assert (out / "file.txt").read_text() == text
    assert sorted(path.name for path in out.iterdir()) == ["file.txt", "meta.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_files_of_a_shared_folder(tmp_path):
    for name in ("table03", "table06"):
        write(tmp_path / f"{name}.csv", "exhibit", (f"{name}.csv", f"{name}.md"), file=True)
    names = [f"{name}.{suffix}" for name in ("table03", "table06") for suffix in ("csv", "md", "meta.json")]
    assert [path.name for path in sorted(tmp_path.iterdir())] == names
    verify(tmp_path / "table06.md")
    (tmp_path / "table06.md").write_text("other")
    with pytest.raises(UserError, match=r"table06.md is damaged .* run stage exhibit again"):
        verify(tmp_path / "table06.md")


@pytest.mark.parametrize(("fingerprint", "resumed"), [("same", True), ("other", False)])
def test_work_in_progress_is_kept_for_the_same_run_only(tmp_path, fingerprint, resumed):
    with interrupted(tmp_path / "a", "sample", "same") as output:
        mine(output.partial / ".resume" / "last.ckpt")
    with Output(tmp_path / "a", "sample", fingerprint) as output:
        assert output.resumed == resumed
        assert (output.partial / ".resume").exists() == resumed


def test_an_edit_of_the_code_loses_no_work_and_is_recorded(tmp_path, capsys):
    for code in ("one", "two"):
        with interrupted(tmp_path / "a", "sample", "f", code) as output:
            (output.partial / ".resume").mkdir(exist_ok=True)
    with Output(tmp_path / "a", "sample", "f", "three") as output:
        assert output.resumed and (output.partial / ".resume").exists()
        assert output.older_code == ["one", "two"]
    assert "what other code began" in capsys.readouterr().err
    with Output(tmp_path / "a", "sample", "g", "three") as output:
        assert not output.resumed and output.older_code == []


FORKED = multiprocessing.get_context("fork")


def first_writer(out, ends, seconds, fingerprint="f"):
    """A process that has begun to write `out`, and is killed or goes on in a while."""
    started, go_on = FORKED.Event(), FORKED.Event()
    more = {"names": ["x.txt"], "text": "first", "file": bool(out.suffix)}
    writer = FORKED.Process(target=lambda: write(out, fingerprint=fingerprint, meanwhile=lambda: (started.set(), go_on.wait()), **more))
    writer.start()
    assert started.wait(60)
    threading.Timer(seconds, writer.kill if ends == "killed" else go_on.set).start()
    return writer


@pytest.mark.parametrize(("name", "ends"), [("a", "finished"), ("a", "another"), ("a", "killed"), ("x.txt", "finished")])
def test_a_second_writer_waits_for_the_first(tmp_path, name, ends):
    """What was asked for is there then; if not, the second makes it."""
    out = tmp_path / name
    first = first_writer(out, ends, 0.2, "other" if ends == "another" else "f")
    with pytest.raises(AlreadyMade) if ends == "finished" else contextlib.nullcontext():
        write(out, text="second", fingerprint="f", file=bool(out.suffix))
    first.join()
    file = (tmp_path if out.suffix else out) / "x.txt"
    assert file.read_text() == ("first" if ends == "finished" else "second")
    assert not list(tmp_path.glob("*.partial"))


def follow(out, launch, begins):
    os.environ["IMDM_LAUNCH"] = launch
    try:
        Output(out, "sample", "f").follow()
        begins.put("begun")
    except (AlreadyMade, UserError) as error:
        begins.put(type(error).__name__)


@pytest.mark.parametrize("ends", ["finished", "killed"])
def test_other_processes_of_a_training_wait_with_their_first(tmp_path, monkeypatch, ends):
    """While another training writes the artifact; then they begin, or end with it."""
    monkeypatch.setattr("imdm.stage.output._PATIENCE", 2)
    out, begins = tmp_path / "a", FORKED.Queue()
    monkeypatch.setenv("IMDM_LAUNCH", "one")
    writer = first_writer(out, ends, 0.5)
    other = FORKED.Process(target=follow, args=(out, "two", begins))
    other.start()
    monkeypatch.setenv("IMDM_LAUNCH", "two")
    with contextlib.suppress(AlreadyMade), Output(out, "sample", "f"):
        assert begins.get(timeout=60) == "begun"
    assert ends == "killed" or begins.get(timeout=60) == "AlreadyMade"
    other.join(60), writer.join(60)


def test_other_processes_of_a_training_miss_their_first(tmp_path, monkeypatch):
    monkeypatch.setattr("imdm.stage.output._PATIENCE", 0.2)
    monkeypatch.setenv("IMDM_LAUNCH", "one")
    with pytest.raises(UserError, match="was not begun by the first process"):
        Output(tmp_path / "a", "sample", "f").follow()
    with Output(tmp_path / "a", "sample", "f"), pytest.raises(UserError, match="other parameters"):
        Output(tmp_path / "a", "sample", "g").follow()


def test_jobs_of_slurm_are_launches_of_their_own(monkeypatch):
    """Whatever the process that submitted them has left in its environment."""
    monkeypatch.setenv("IMDM_LAUNCH", "of who submitted")
    for name, value in {"PROCID": "1", "JOB_ID": "12", "STEP_ID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    first = launch()
    monkeypatch.setenv("SLURM_JOB_ID", "13")
    other = launch()
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert len({first, other, launch()}) == 3


def test_a_changed_byte_is_noticed(tmp_path):
    write(tmp_path / "a", "pretrain", ("w.bin",), "12345")
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
    made = []

    def make(first, count):
        if len(made) == stop and stop not in made:
            raise KeyboardInterrupt
        made.append(first)
        return {"x": torch.arange(first, first + count)}

    with pytest.raises(KeyboardInterrupt):
        in_chunks(tmp_path, range(30), 4, make)
    before, stop = list(made), -1
    result, seconds = in_chunks(tmp_path, range(30), 4, make)
    assert result.keys() == {"x"} and torch.equal(result["x"], torch.arange(30))
    assert seconds == pytest.approx(0.1 * 8)  # those before the interruption too
    assert made == list(range(0, 30, 4)) and made[: len(before)] == before


def beside_an_empty_record(folder):
    write(folder / "out", text="old")
    mine(folder / "out" / "thesis.tex")
    (folder / "out" / "meta.json").write_text("")


def work_of_another_stage(folder):
    with interrupted(folder / "out", "pretrain", "f") as output:
        mine(output.partial / ".resume" / "last.ckpt")


def a_linked_lock(folder):
    mine(folder / "mine.txt")
    (folder / "out.partial").mkdir()
    (folder / "out.partial" / ".lock").symlink_to("../mine.txt")


def piped(path):
    path.parent.mkdir(parents=True)
    os.mkfifo(path)


def linked_chunks(folder):
    with interrupted(folder / "out", "sample", "new") as output:
        (output.partial / ".chunks").symlink_to("../mine")


STRANGE = {
    "a run": lambda folder: write(folder / "out" / "models" / "teacher", "pretrain"),
    "another stage's": lambda folder: write(folder / "out", "pretrain"),
    "a file": lambda folder: mine(folder / "out"),
    "a folder": lambda folder: mine(folder / "out" / "thesis.tex"),
    "a link": lambda folder: (mine(folder / "out" / "thesis.tex"), linked(folder / "out")),
    "a file beside ours": lambda folder: (write(folder / "out", text="old"), mine(folder / "out" / "thesis.tex")),
    "a hidden file beside ours": lambda folder: (write(folder / "out", text="old"), mine(folder / "out" / ".git" / "HEAD")),
    "a file beside an empty record": beside_an_empty_record,
    "a work folder": lambda folder: mine(folder / "out.partial" / "thesis.tex"),
    "a linked work folder": lambda folder: (mine(folder / "out.partial" / "thesis.tex"), linked(folder / "out.partial")),
    "a dangling work folder": lambda folder: (folder / "out.partial").symlink_to("nowhere"),
    "another stage's work": work_of_another_stage,
    "a linked lock": a_linked_lock,
    "linked chunks": linked_chunks,
    "somebody's record": lambda folder: mine(folder / "out" / "meta.json", '{"title": "thesis"}'),
    "half a record": lambda folder: mine(folder / "out" / "meta.json", '{"stage": "sam'),
    "a deep record": lambda folder: mine(folder / "out" / "meta.json", "[" * 100_000),
    "a piped record": lambda folder: piped(folder / "out" / "meta.json"),
    "somebody's mark": lambda folder: (mine(folder / "out.partial" / "thesis.tex"), mine(folder / "out.partial" / ".fingerprint")),
    "a piped mark": lambda folder: piped(folder / "out.partial" / ".fingerprint"),
}


@pytest.mark.parametrize("laid", STRANGE.values(), ids=STRANGE)
def test_nothing_is_erased_that_this_kind_of_stage_has_not_made(tmp_path, laid):
    laid(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(UserError, match="move it away, or choose another --out"):
        write(tmp_path / "out")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", [".", "..", "/", "a/..", ".hidden", "b.partial", "meta.json", "a.meta.json"])
def test_reserved_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="must end in a name"):
        Output(name, "sample", "f")


def test_a_dot_makes_no_file_of_a_folder(tmp_path):
    """Each model's folder is its own, whatever it is called."""
    for model in ("m.v1", "m.v2"):
        write(tmp_path / model, text=model)
    assert {name: text for name, text in tree(tmp_path).items() if name.endswith(".txt")} == {f"{m}/x.txt": m for m in ("m.v1", "m.v2")}


def test_files_replace_their_own_alone(tmp_path):
    out, names = tmp_path / "a.csv", ("a.csv", "a.md")
    (tmp_path / "a.md").write_text("mine")
    with pytest.raises(UserError, match=r"a.md stands in the way"):
        write(out, names=names, file=True)
    assert tree(tmp_path) == {"a.md": "mine"}
    (tmp_path / "a.md").unlink()
    write(out, names=(*names, "a.old.md"), text="old", file=True)
    (tmp_path / "thesis.tex").write_text("mine")
    write(out, names=names, file=True)
    found = tree(tmp_path)
    del found["a.meta.json"]
    assert found == {"a.csv": "new", "a.md": "new", "thesis.tex": "mine"}
    with pytest.raises(UserError, match="is no file that sample writes; give one of a.csv, a.md"):
        write(tmp_path / "b.csv", names=names, file=True)


@pytest.mark.parametrize("edited", ["../thesis.tex", "/thesis.tex", "a/../../thesis.tex", ""])
def test_a_record_names_no_file_outside(tmp_path, edited):
    """Of files in a common folder, those that the record names and the new output lacks are removed."""
    (tmp_path / "thesis.tex").write_text("mine")
    write(tmp_path / "run" / "a.csv", names=("a.csv",), text="old", file=True)
    record = tmp_path / "run" / "a.meta.json"
    meta = json.loads(record.read_text())
    record.write_text(json.dumps(meta | {"outputs": meta["outputs"] | {edited: "0"}}))
    before = tree(tmp_path)
    with pytest.raises(UserError, match="is no file below it"):
        write(tmp_path / "run" / "a.csv", names=("a.csv",), file=True)
    assert tree(tmp_path) == before


def test_a_folder_where_a_file_should_be(tmp_path):
    (tmp_path / "a.md").mkdir()
    with pytest.raises(UserError, match=r"a.md is a folder; move it away"):
        write(tmp_path / "a.csv", names=("a.csv", "a.md"), file=True)


def test_what_was_emptied_by_a_crash_is_made_again(tmp_path):
    """Files of no content, where a machine failed before the disk had them: as if they were not there."""
    write(tmp_path / "out", text="old")
    for name, content in (("x.txt", ""), ("meta.json", "\0" * 512)):
        (tmp_path / "out" / name).write_text(content)
    write(tmp_path / "out")
    assert (tmp_path / "out" / "x.txt").read_text() == "new"
    with interrupted(tmp_path / "out", "sample", "new") as output:
        (output.partial / ".fingerprint").write_text("")
    write(tmp_path / "out")
    assert set(tree(tmp_path)) == {"out", "out/x.txt", "out/meta.json"}
    (tmp_path / "b" / ".chunks").mkdir(parents=True)
    for content in (b"", b"half"):
        (tmp_path / "b" / ".chunks" / "chunk-000000000.safetensors").write_bytes(content)
        made, _ = in_chunks(tmp_path / "b", range(2), 2, lambda first, count: {"x": torch.arange(count)})
        assert made["x"].tolist() == [0, 1]


def test_on_a_shared_file_system_a_folder_goes_when_no_file_in_it_is_open(tmp_path, monkeypatch):
    """There an open file that is removed stays under another name, and `rmdir` fails."""
    rmdir = os.rmdir

    def refuse_open(path, *more, **options):
        place = os.readlink(f"/proc/self/fd/{options['dir_fd']}") if options.get("dir_fd") is not None else ""
        folder = os.path.join(place, path)
        for number in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(f"/proc/self/fd/{number}").startswith(f"{folder}/"):
                    raise OSError(errno.ENOTEMPTY, "Directory not empty")
        rmdir(path, *more, **options)

    monkeypatch.setattr(os, "rmdir", refuse_open)
    for text in ("one", "two"):
        write(tmp_path / "x.txt", text=text, file=True)
        write(tmp_path / "a", text=text)
    with pytest.raises(UserError, match="mistake"), Output(tmp_path / "b", "sample", "f"):
        raise UserError("mistake")
    assert set(tree(tmp_path)) == {"x.txt", "x.meta.json", "a", "a/x.txt", "a/meta.json"}


def test_what_is_left_of_a_replaced_output_blocks_nothing(tmp_path, monkeypatch):
    """A read-only file system, or an open file on a shared one: what was replaced stays for a while."""
    write(tmp_path / "out", text="old")
    with monkeypatch.context() as patch:
        patch.setattr("imdm.stage.output.shutil.rmtree", lambda path: (_ for _ in ()).throw(OSError(errno.ENOTEMPTY, "x")))
        write(tmp_path / "out")
    assert (tmp_path / "out" / ".replaced").exists() and verify(tmp_path / "out")
    write(tmp_path / "out", text="newer")
    assert set(tree(tmp_path)) == {"out", "out/x.txt", "out/meta.json"}


def test_without_flock(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(UserError, match=r"out.partial can't be locked \(No locks available\); set runtime.lock to false"):
        write(tmp_path / "out")
    assert tree(tmp_path) == {}
    write(tmp_path / "out", lock=False)
    assert (tmp_path / "out" / "x.txt").read_text() == "new"


@pytest.mark.parametrize(
    ("lay", "words"),
    [
        (lambda place: place.write_text("mine"), "place is a file"),
        (lambda place: place.symlink_to("nowhere"), r"can't be written \(File exists\)"),
        (lambda place: place.symlink_to("place"), "can't be written|Too many levels of symbolic links"),
    ],
    ids=["file", "dangling link", "link to itself"],
)
@pytest.mark.parametrize("lock", [True, False])
def test_a_place_where_no_folder_can_be(tmp_path, lay, words, lock):
    lay(tmp_path / "place")
    before = tree(tmp_path)
    with pytest.raises((UserError, OSError), match=words):
        write(tmp_path / "place" / "out", lock=lock)
    assert tree(tmp_path) == before


def test_a_folder_that_is_always_removed_again(tmp_path, monkeypatch):
    def gone(path, flags):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)

    monkeypatch.setattr("imdm.stage.lock._no_link", gone)
    with pytest.raises(UserError, match="is always removed again"):
        write(tmp_path / "out")


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_files_have_the_permissions_of_the_umask(tmp_path, umask, mode):
    """Safetensors, and what saves with it, makes files for their owner alone."""
    before = os.umask(umask)
    try:
        with Output(tmp_path / "out", "sample", "f") as output:
            save_file({"x": torch.zeros(1)}, output.partial / "foreign.safetensors")
            save_rows(output.partial / "ours.safetensors", {"x": np.zeros(1)}, {})
            commit(output)
        save_rows(tmp_path / "alone.safetensors", {"x": np.zeros(1)}, {})
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 4 and {stat.S_IMODE(path.stat().st_mode) for path in files} == {mode}


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_json_has_no_numbers_that_are_none(tmp_path, number):
    write_json(tmp_path / "x.json", {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"a": [number]})
    assert tree(tmp_path) == {"x.json": '{\n  "a": 1\n}\n'}


def test_a_file_that_fails_leaves_the_one_before(tmp_path):
    (tmp_path / "x").write_text("before")
    with pytest.raises(KeyboardInterrupt), whole(tmp_path / "x") as beside:
        beside.write_text("half")
        raise KeyboardInterrupt
    assert tree(tmp_path) == {"x": "before"}
