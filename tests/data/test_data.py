"""The user's own text, and the stage tokenize_pack."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from imdm.data import text_files
from imdm.data.blocks import Dataset
from imdm.errors import UserError
from imdm.params import Corpus
from script import made, run


def files(path: Path | str, **options: str) -> list[str]:
    return list(text_files.documents(Corpus(name="files", path=str(path), **options)))


TEXT = "One line.\nAnother line.\n\n\n  A second block, naïve.  \n"


@pytest.mark.parametrize("ending", ["txt", "txt.gz"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "unit, expected",
    [
        ("blank_line", ["One line.\nAnother line.", "A second block, naïve."]),
        ("line", ["One line.", "Another line.", "A second block, naïve."]),
    ],
)
def test_text_files(tmp_path, ending, newline, unit, expected):
    content = TEXT.replace("\n", newline).encode("utf-8-sig")
    (tmp_path / f"a.{ending}").write_bytes(gzip.compress(content) if ending == "txt.gz" else content)
    assert files(tmp_path / "*", documents=unit) == expected


def test_json_lines_and_the_order_of_files(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.jsonl").write_text('{"body": "two\\n\\nparts"}\n\n{"body": " "}\n{"body": "three"}\n')
    (tmp_path / "deep" / "a.jsonl.gz").write_bytes(gzip.compress(b'{"body": "one", "n": 1}\n'))
    assert files(tmp_path / "**" / "*", text_field="body") == ["one", "two\n\nparts", "three"]


BAD = {
    "latin.txt": ("Café\n".encode() * 3 + "Café\n".encode("latin-1"), "latin.txt is not UTF-8 (line 4, byte 21); convert it"),
    "utf16.txt": ("text".encode("utf-16"), "utf16.txt is not UTF-8 (line 1, byte 0)"),
    "cut.txt.gz": (gzip.compress(os.urandom(500).hex().encode())[:-40], "cut.txt.gz is a broken gzip file"),
    "plain.txt.gz": (b"not packed at all", "plain.txt.gz is a broken gzip file"),
    "cut.jsonl": (b'{"text": "fine"}\n{"text": "cu', "cut.jsonl, line 2 is not valid JSON"),
    "list.jsonl": (b'["text"]\n', "list.jsonl, line 1 is not a JSON object"),
    "field.jsonl": (
        b'{"body": "one", "id": 3}\n',
        "field.jsonl, line 1 has no field 'text'; set corpus.text_field to one that it has (body, id)",
    ),
    "half.jsonl": (b'{"text": "one"}\n{"text": "\\ud83d"}\n', "half.jsonl, line 2 is not valid JSON (it holds half a surrogate pair)"),
    "number.jsonl": (b'{"text": 3}\n', "number.jsonl, line 1: field 'text' is not text"),
    "page.html": (b"<p>", "page.html is none of .txt, .txt.gz, .jsonl"),
    "empty.txt": (b"\n \n", "the train split of corpus files"),
    "small.txt": (b"A text of a few words.\n", "add text"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_text_ends_with_one_sentence_and_no_output(tmp_path, name):
    content, message = BAD[name]
    (tmp_path / name).write_bytes(content)
    done = run("tokenize_pack", "--out", tmp_path / "out", sets=["corpus.name=files", f"corpus.path={tmp_path / name}"])
    assert done.returncode == 2 and message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "options, message",
    [
        (["corpus.path={}/*.none"], "matches no file; correct the glob"),
        (["corpus.path=null"], "corpus: path must be a glob where corpus.name is files"),
        (["corpus.vocab_size=257"], "corpus.vocab_size = 257 must hold all bytes and two special tokens; choose one from 258 to 65536"),
        (["corpus.vocab_size=65537"], "corpus.vocab_size = 65537 must fit in 16 bits; choose one from 258 to 65536"),
        (["corpus.seq_len=60000"], "too few for one block of corpus.seq_len = 60000; add text or lower corpus.seq_len"),
        (["corpus.seq_len=3"], "corpus.seq_len"),
        (["corpus.test_fraction=0.0001"], "the test split of corpus files"),
        (
            ["corpus.judge_fraction=0.9", "corpus.valid_fraction=0.05", "corpus.test_fraction=0.05"],
            "corpus.judge_fraction + corpus.valid_fraction + corpus.test_fraction = 1 leaves nothing to train on",
        ),
        (["corpus.judge_fraction=-1"], "corpus.judge_fraction"),
        (["corpus.sequence_length=8"], "corpus.sequence_length is not a parameter"),
    ],
)
def test_bad_parameters_end_with_one_sentence_and_no_output(tmp_path, options, message):
    (tmp_path / "text.txt").write_text("\n\n".join(f"This is document number {i}, one of many." for i in range(200)))
    settings = ["corpus.name=files", f"corpus.path={tmp_path}/*.txt", *(option.format(tmp_path) for option in options)]
    done = run("tokenize_pack", "--out", tmp_path / "out", sets=settings)
    assert done.returncode == 2 and message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_a_corpus_without_judge_half(tmp_path):
    (tmp_path / "text.txt").write_text("\n\n".join(f"This is document number {i}, one of many." for i in range(400)))
    settings = ["corpus.name=files", f"corpus.path={tmp_path}/*.txt", "corpus.judge_fraction=0"]
    data = Dataset.open(made("tokenize_pack", tmp_path / "out", sets=settings) / "dataset.json")
    assert data.splits["judge"]["blocks"] == 0 and len(data.split("train")) > 100
    with pytest.raises(UserError, match="corpus.judge_fraction above 0"):
        data.split("judge")
