"""The embedded corpus, the user's own text, and the stage tokenize_pack."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tokenize_pack
from imdm.data import pydocs, text_files
from imdm.data.blocks import Dataset
from imdm.data.prose import is_sentence, prose
from imdm.errors import UserError
from imdm.job import run_stage
from imdm.params import Corpus

TESTS = Path(__file__).resolve().parent
SCRIPT = TESTS.parent / "stages" / "tokenize_pack.py"
MICRO = ["--params", str(TESTS / "micro.yaml")]
FIXTURES = Path(os.environ.get("IMDM_FIXTURES", TESTS.parent.parent / "shared")) / "data"

CODE = re.compile(r">>>|::|```|``|->|==|[{}\[\]<>|\\=@#*~^`]|\bdef \w+\(|^\s*\w+\(.*\):?$|^class \w+|[-=~^*]{3,}|:\w+:`", re.M)
COMMON = re.compile(r"\b(the|a|an|of|to|is|in|and|that|it|for|be|this|not|with|if|or|by|as|are|on|from)\b", re.I)


def junk(text: str) -> bool:
    """Whether a text shows code or markup, or has too few of the words that every English text is full of."""
    return bool(CODE.search(text)) or len(COMMON.findall(text)) < 0.05 * len(text.split())


def stage(*options: str) -> int:
    return run_stage(str(SCRIPT), tokenize_pack.__doc__, tokenize_pack.arguments, tokenize_pack.run, [*MICRO, *options])


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> list[Path]:
    """The embedded corpus, packed by two processes with other hash seeds and thread counts."""
    folders = [tmp_path_factory.mktemp("pydocs") / "one", tmp_path_factory.mktemp("pydocs") / "two"]
    runs = []
    for number, folder in enumerate(folders, start=1):
        command = [sys.executable, str(SCRIPT), *MICRO, "--out", str(folder), "--set", f"corpus.workers={number}"]
        runs.append(subprocess.Popen(command, env=os.environ | {"PYTHONHASHSEED": str(number)}, stderr=subprocess.PIPE, text=True))
    for process in runs:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    return folders


@pytest.fixture(scope="module")
def documents(packed) -> dict[str, list[str]]:
    """Whole documents of each split, read back from the blocks."""
    data = Dataset.open(packed[0] / "dataset.json")
    tokenizer = data.tokenizer()
    found = {}
    for name in data.splits:
        text = tokenizer.decode(data.split(name)[:, 1:-1].ravel().tolist(), skip_special_tokens=False)
        found[name] = text.split("<|endoftext|>")[:-1]
    return found


def test_pydocs_depend_on_neither_hash_seed_nor_threads(packed):
    one, two = packed
    for name in ("dataset.json", "tokenizer.json", "train.bin", "judge.bin", "valid.bin", "test.bin"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_pydocs_are_large_and_reported(packed, documents):
    data = Dataset.open(packed[0] / "dataset.json")
    assert data.statistics["characters"] > 1_000_000
    assert data.statistics["documents"] == sum(split["documents"] for split in data.splits.values())
    assert data.statistics["source"].startswith("CPython 3.")
    for name, split in data.splits.items():
        assert abs(len(documents[name]) - split["documents"]) <= 1  # the tail may cut off the end of the last one
    meta = json.loads((packed[0] / "meta.json").read_text())
    assert meta["metrics"]["train_blocks"] == data.splits["train"]["blocks"]


def test_no_document_and_no_paragraph_is_in_two_splits(documents):
    seen: dict[str, str] = {}
    for name, texts in documents.items():
        for text in texts:
            for part in (text, *text.split("\n\n")):
                assert seen.setdefault(part, name) == name


def test_pydocs_are_prose(documents):
    texts = [text for part in documents.values() for text in part]
    bad = [text for text in texts if junk(text)]
    assert len(bad) <= 0.002 * len(texts), bad[:5]  # a short sentence may do without common words
    assert all(len(text) >= 60 and re.search(r"[.?!][\"')]*$", text) for text in texts)
    words = " ".join(texts).split()
    assert len(COMMON.findall(" ".join(texts))) > 0.25 * len(words)


def test_the_junk_check_sees_junk():
    """The same check on the raw documentation, where it must fail often."""
    raw = [text for topic in ("typesseq", "datamodel") for text in pydocs._sections(_topic(topic))]
    raw += list(pydocs._docstrings(Path(textwrap_source()).read_bytes())) + list(pydocs._docstrings(Path(json.__file__).read_bytes()))
    raw = [text for text in raw if text]
    assert sum(map(junk, raw)) > 0.3 * len(raw)


def _topic(name: str) -> str:
    from pydoc_data.topics import topics

    return topics.get(name, "")


def textwrap_source() -> str:
    import textwrap

    return textwrap.__file__


@pytest.mark.parametrize(
    "raw, expected",
    [
        ("Return the sum.\nIt is a :class:`~x.Foo` or ``None``.", ["It is a Foo or None."]),
        ("Return a copy of `s' with *all* the **best** words", ["Return a copy of s with all the best words."]),
        (
            "See the example of this::\n\n    x = 1\n    of the best of the lot.\n\nThat is all that there is.",
            ["That is all that there is."],
        ),
        (">>> f(1)\nThis is the output of it.\n\nThis is what comes after it.", ["This is what comes after it."]),
        ("Title of the text\n=================\n\nThe text of the section.", ["The text of the section."]),
        ("- This is the first item,\n  and it is long.\n- This is the second of them.", 2),
        ("Note: this goes on here\n      and ends in here.", ["This goes on here and ends in here."]),
        (".. note::\n   This is what the note says.\n\n.. code-block:: c\n   This is what is left out.", ["This is what the note says."]),
        ("+-----+-----+\n| the | one |\n+-----+-----+", []),
        ("This has a \u201creal quote\u201d and is read- only.", ['This has a "real quote" and is read-only.']),
        ("alpha, beta, gamma, delta, epsilon, zeta.", []),
        ("The value is one of the following:\n\n  red, green, blue", []),
    ],
)
def test_cleaning(raw, expected):
    found = prose(raw)
    assert found == expected or len(found) == expected


@pytest.mark.parametrize(
    "text",
    ["x = the[1] of it.", "Call f(x, y) for the best.", "and so it is in the end.", "This is (not closed.", "Too short.", "It is the."],
)
def test_what_is_no_sentence(text):
    assert not is_sentence(text)


def test_a_python_without_its_library_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(pydocs.sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(UserError, match="holds only 0 documents.*corpus.name: files"):
        list(pydocs.documents())


def test_sources_are_only_read(monkeypatch, tmp_path):
    (tmp_path / "trap.py").write_text('"""This is the text of a module that must not run."""\nraise SystemExit(1)\n')
    (tmp_path / "broken.py").write_text("def (:\n")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "trap.py").write_text('"""This is the text of a test, which is left out of all."""\n')
    monkeypatch.setattr(pydocs.sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    assert [text for text in pydocs._sources() if text] == ["This is the text of a module that must not run."]


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
        ("file", ["One line.\nAnother line.\n\n\n  A second block, naïve."]),
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
        (["corpus.path=null"], "corpus.path must be a glob where corpus.name is files"),
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
