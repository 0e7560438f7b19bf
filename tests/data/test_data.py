"""The user's own text, and the stage tokenize_pack."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tokenize_pack
from imdm.data import text_files
from imdm.data.blocks import Dataset
from imdm.errors import UserError
from imdm.params import Corpus
from imdm.stage.job import run_stage

TESTS = Path(__file__).resolve().parents[1]
SCRIPT = TESTS.parent / "stages" / "tokenize_pack.py"
MICRO = ["--params", str(TESTS / "micro.yaml")]
FIXTURES = Path(os.environ.get("IMDM_FIXTURES", TESTS.parent.parent / "shared")) / "data"


def stage(*options: str) -> int:
    return run_stage(
        str(SCRIPT), tokenize_pack.__doc__, tokenize_pack.READS, tokenize_pack.arguments, tokenize_pack.run, [*MICRO, *options]
    )


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
    "half.jsonl": (b'{"text": "one"}\n{"text": "\\ud83d"}\n', "document 2 of 1 files of"),
    "number.jsonl": (b'{"text": 3}\n', "number.jsonl, line 1: field 'text' is not text"),
    "page.html": (b"<p>", "page.html is none of .txt, .txt.gz, .jsonl"),
    "empty.txt": (b"\n \n", "the train split of corpus files"),
    "small.txt": (b"A text of a few words.\n", "add text"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_text_ends_with_one_sentence_and_no_output(tmp_path, capsys, name):
    content, message = BAD[name]
    (tmp_path / name).write_bytes(content)
    assert stage("--out", str(tmp_path / "out"), "--set", "corpus.name=files", "--set", f"corpus.path={tmp_path / name}") == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "options, message",
    [
        (["corpus.path={}/*.none"], "matches no file; correct the glob"),
        (["corpus.path=null"], "corpus: path must be a glob where corpus.name is files"),
        (["corpus.vocab_size=100"], "corpus.vocab_size = 100 must hold all bytes"),
        (["corpus.vocab_size=70000"], "corpus.vocab_size = 70000 must fit in 16 bits"),
        (["corpus.seq_len=100000"], "too few for one block of corpus.seq_len = 100000; add text or lower corpus.seq_len"),
        (["corpus.seq_len=3"], "corpus.seq_len"),
        (["corpus.test_fraction=0.0001"], "the test split of corpus files"),
        (["corpus.judge_fraction=0.95"], "leaves nothing to train on"),
        (["corpus.judge_fraction=-1"], "corpus.judge_fraction"),
        (["corpus.sequence_length=8"], "corpus.sequence_length is not a parameter"),
    ],
)
def test_bad_parameters_end_with_one_sentence_and_no_output(tmp_path, capsys, options, message):
    (tmp_path / "text.txt").write_text("\n\n".join(f"This is document number {i}, one of many." for i in range(200)))
    settings = ["corpus.name=files", f"corpus.path={tmp_path}/*.txt", *(option.format(tmp_path) for option in options)]
    assert stage("--out", str(tmp_path / "out"), *(part for setting in settings for part in ("--set", setting))) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_a_corpus_without_judge_half(tmp_path):
    (tmp_path / "text.txt").write_text("\n\n".join(f"This is document number {i}, one of many." for i in range(400)))
    settings = ["corpus.name=files", f"corpus.path={tmp_path}/*.txt", "corpus.judge_fraction=0"]
    assert stage("--out", str(tmp_path / "out"), *(part for setting in settings for part in ("--set", setting))) == 0
    data = Dataset.open(tmp_path / "out" / "dataset.json")
    assert data.splits["judge"]["blocks"] == 0 and len(data.split("train")) > 100
    with pytest.raises(UserError, match="corpus.judge_fraction above 0"):
        data.split("judge")


@pytest.mark.parametrize(
    "name, options, count",
    [
        ("webtext/webtext.valid.short.jsonl", [], 4724),
        ("wikitext2/valid.txt", ["corpus.documents=line"], None),
        ("lm1b/news.en.heldout-00000-of-00050", None, None),
    ],
)
def test_real_text(tmp_path, name, options, count):
    source = FIXTURES / name
    if not source.exists():
        pytest.skip(f"{source} is absent; set IMDM_FIXTURES")
    if options is None:  # a name without an ending, as the LM1B files have
        (tmp_path / "news.txt").symlink_to(source)
        source, options = tmp_path / "news.txt", ["corpus.documents=line"]
    settings = ["corpus.name=files", f"corpus.path={source}", "corpus.seq_len=64", "corpus.vocab_size=1000", *options]
    assert stage("--out", str(tmp_path / "out"), *(part for setting in settings for part in ("--set", setting))) == 0
    data = Dataset.open(tmp_path / "out" / "dataset.json")
    assert data.vocab_size == 1000 and data.statistics["bytes_per_token"] > 2
    texts = text_files.documents(Corpus(name="files", path=str(source), documents="line"))
    first = next(text for text in texts)
    tokenizer = data.tokenizer()
    assert tokenizer.decode(tokenizer.encode(first).ids) == first
    assert count is None or abs(data.statistics["documents"] - count) <= 20  # white space only is no document


def test_help_imports_no_heavy_library():
    code = f"import sys; sys.argv = ['tokenize_pack.py', '--help']; sys.path.insert(0, {str(SCRIPT.parent)!r}); import runpy\n"
    code += f"try: runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'tokenizers', 'numpy', 'pandas'} & set(sys.modules), set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "Own text" in done.stdout, done.stderr
