"""stages/generate.py: a user's text stays as it is, the rest is the model's, and pipes get the text alone."""

from __future__ import annotations

import contextlib
import io
import subprocess
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

import judges
from imdm.data.blocks import Dataset
from imdm.data.speller import Speller
from imdm.data.tokenizer import train_bpe
from imdm.errors import UserError
from imdm.network.checkpoint import save_network
from imdm.play import terminal
from imdm.play.terminal import Settings, converse, frames, printable, show
from imdm.play.writer import Writer
from imdm.publish.export import export_model
from imdm.sampling.prompts import text_block
from networks import small_network
from script import called, module


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Dataset:
    return Dataset.open(judges.make_dataset(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def model(tmp_path_factory, data) -> Path:
    sizes = {"vocab_size": data.vocab_size, "mask_id": data.mask_id, "seq_len": data.seq_len}
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_network(path, small_network(tokenizer_sha256=data.tokenizer_sha256, **sizes))
    return path


def generate(model: Path, data: Dataset, *arguments: str) -> subprocess.CompletedProcess[str]:
    return called(module("generate").main, ["--model", str(model), "--data", str(data.path), *arguments])


def test_the_prompt_stays_and_a_pipe_gets_the_same_text_twice(model, data):
    arguments = ("--prompt", "the list of", "--steps", "3", "--seed", "4")
    first, second = generate(model, data, *arguments), generate(model, data, *arguments, "--live")
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout and first.stdout.startswith("the list of") and "\x1b" not in first.stdout
    more = generate(model, data, *arguments, "--count", "2").stdout
    assert more.startswith(f"--- 1 of 2\n{first.stdout}--- 2 of 2\nthe list of")
    assert generate(model, data, "--prompt", "the list of", "--steps", "3", "--seed", "5").stdout != first.stdout


def test_what_is_around_gaps_stays_and_nothing_follows(model, data):
    done = generate(model, data, "--prompt", "the ___ of", "--steps", "2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the ") and done.stdout.endswith(" of\n") and "___" not in done.stdout


def test_mistakes(model, data, tmp_path):
    other = Dataset.open(judges.make_dataset(tmp_path / "other", train_bpe(judges.TEXT[:1] * 4, 280)))
    for folder, arguments, words in (
        (data, ("--prompt", "module " * 20), ["the text has", "room for 10; shorten it."]),
        (data, ("--prompt", "a" + 11 * "_"), ["the text has 12 tokens, gaps included"]),
        (other, (), ["vocab_size", "use a network that was made for this corpus"]),
        (data, ("--steps", "0"), ["steps and count must be from 1 to 65536"]),
        (data, ("--temperature", "-1"), ["the temperature positive"]),
    ):
        done = generate(model, folder, *arguments)
        assert done.returncode == 2 and not done.stdout and len(done.stderr.splitlines()) == 1, done.stderr
        assert all(word in done.stderr for word in words), done.stderr


def test_the_terminal_stays_open_and_answers_every_line(model, data, monkeypatch):
    """A text without gaps is continued, every answer is that of its seed, and a mistake ends nothing."""
    typed = iter(["the list of", "/2", "the ___ of", "module " * 20, "/0", "a", "/3", ""])

    def line(prompt: str) -> str:
        asked.append(prompt)
        return next(typed, None) or ("" if len(asked) < 9 else end())

    def end() -> str:
        raise EOFError

    asked: list[str] = []
    monkeypatch.setattr("builtins.input", line)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=200)
    writer, settings = Writer.open(str(model), str(data.path)), Settings(4, 7, 1.0, 1, live=False)
    with contextlib.redirect_stdout(out):
        converse(writer, console, settings)
    said = out.getvalue()
    assert asked == [f"{steps} steps> " for steps in (4, 4, 2, 2, 2, 0, 0, 3, 3)]
    for text, steps, seed in (("the list of", 4, 7), ("the ___ of", 2, 8), ("", 3, 11)):
        alone = generate(model, data, "--prompt", text, "--steps", str(steps), "--seed", str(seed)).stdout
        assert printable(alone) in said
    assert "room for 10; shorten it." in said and "steps and count must be from 1" in said


def test_an_exported_folder_gives_the_same(model, data, tmp_path):
    """And transformers, from the same folder with the same seed."""
    from transformers import AutoModel

    export_model(model, data, tmp_path)
    alone = called(module("generate").main, ["--model", str(tmp_path), "--prompt", "the", "--steps", "4", "--seed", "2"])
    text = alone.stdout  # its corpus is described in the folder itself
    assert text == generate(model, data, "--prompt", "the", "--steps", "4", "--seed", "2").stdout
    given = text_block(data, "the")
    rows = AutoModel.from_pretrained(tmp_path, trust_remote_code=True).generate(given.tokens, steps=4, seed=2, unmasking="dilated")
    speller = Speller(data.tokenizer(), {data.eos_id})
    assert "".join(piece for piece, _ in speller.pieces(rows[0, given.shown].tolist(), [0] * 10)) + "\n" == text


@settings(max_examples=60, deadline=None)
@given(parts=st.lists(st.text(st.characters(exclude_characters="_", exclude_categories=["Cs"]), max_size=2), min_size=1, max_size=3))
def test_text_and_gaps_as_tokens(parts, data):
    text = "____".join(parts)
    ids = [data.tokenizer().encode(part).ids for part in parts]
    length = sum(map(len, ids)) + 4 * (len(parts) - 1)
    if length > data.seq_len - 2:
        with pytest.raises(UserError):
            text_block(data, text)
        return
    written = text_block(data, text)
    end = 1 + length if len(parts) > 1 else data.seq_len - 1  # a text without gaps is continued
    assert (written.shown, len(written.tokens)) == (slice(1, end), data.seq_len)
    runs = written.tokens[1 : 1 + length].tolist()
    expected = [token for number, part in enumerate(ids) for token in ([data.mask_id] * 4 if number else []) + part]
    assert runs == expected and (written.given == (written.tokens != data.mask_id)).all()
    assert written.given[0] and written.given[-1] and not written.given[1 + length : -1].any()
    assert torch.equal(written.visible(3, "cpu")[1][2] * written.given, written.visible(1, "cpu")[1][0])


PIECES = [("the", -1), (" list", 3), ("\n", 0), (" is", 0), (" empty", 3)]


def test_frames_in_the_order_of_the_steps():
    found = frames(PIECES)
    assert [frame.plain for frame in found] == ["the ░░░░\n ░░ ░░░░░", "the ░░░░\n is ░░░░░", "the list\n is empty"]
    styles = [{str(span.style) for span in frame.spans} for frame in found]
    assert styles == [{"bold", "dim"}, {"bold", "dim", "green"}, {"bold", "green"}]


def test_a_terminal_gets_the_replay_and_then_the_text(monkeypatch):
    waited = []
    monkeypatch.setattr(terminal.time, "sleep", waited.append)
    replay = Console(file=io.StringIO(), force_terminal=True, width=40, height=20, color_system="standard", legacy_windows=False)
    show(replay, [*PIECES, ("\x1b[2J[red]", 4)], live=True)
    shown = replay.file.getvalue()
    assert len(waited) == 4 and "░" in shown and "\x1b[1A" in shown and "\x1b[2J" not in shown
    assert shown.endswith(" is empty\ufffd[2J[red]\n")
    still, pipe = Console(file=io.StringIO(), force_terminal=True, width=40), Console(file=io.StringIO(), width=5)
    for console, live in ((still, False), (pipe, True)):
        show(console, PIECES, live)
        assert console.file.getvalue() == "the list\n is empty\n" and len(waited) == 4
