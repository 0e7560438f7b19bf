"""The embedded corpus: deterministic, split cleanly, and prose."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from imdm.data import pydocs
from imdm.data.blocks import Dataset
from imdm.data.prose import is_sentence, prose
from imdm.errors import UserError
from script import command, made

CODE = re.compile(r">>>|::|```|``|->|==|[{}\[\]<>|\\=@#*~^`]|\bdef \w+\(|^\s*\w+\(.*\):?$|^class \w+|[-=~^*]{3,}|:\w+:`", re.M)
COMMON = re.compile(r"\b(the|a|an|of|to|is|in|and|that|it|for|be|this|not|with|if|or|by|as|are|on|from)\b", re.I)


def junk(text: str) -> bool:
    """Whether a text shows code or markup, or has too few of the words that every English text is full of."""
    return bool(CODE.search(text)) or len(COMMON.findall(text)) < 0.05 * len(text.split())


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> Path:
    """The embedded corpus."""
    return made("tokenize_pack", tmp_path_factory.mktemp("pydocs") / "data", sets=["corpus.workers=1"])


@pytest.fixture(scope="module")
def documents(packed) -> dict[str, list[str]]:
    """Whole documents of each split, read back from the blocks."""
    data = Dataset.open(packed / "dataset.json")
    tokenizer = data.tokenizer()
    found = {}
    for name in data.splits:
        text = tokenizer.decode(data.split(name)[:, 1:-1].ravel().tolist(), skip_special_tokens=False)
        found[name] = text.split("<|endoftext|>")[:-1]
    return found


@pytest.mark.slow
def test_pydocs_depend_on_neither_hash_seed_nor_processes(packed, tmp_path):
    words, seed = command("tokenize_pack", "--out", tmp_path / "other", sets=["corpus.workers=2"]), {"PYTHONHASHSEED": "1"}
    subprocess.run(words, env=os.environ | seed, check=True)
    for name in ("dataset.json", "tokenizer.json", "train.bin", "judge.bin", "valid.bin", "test.bin"):
        assert (packed / name).read_bytes() == (tmp_path / "other" / name).read_bytes(), name


def test_pydocs_are_large_and_reported(packed, documents):
    data = Dataset.open(packed / "dataset.json")
    assert data.statistics["characters"] > 1_000_000
    assert data.statistics["documents"] == sum(split["documents"] for split in data.splits.values())
    assert data.statistics["source"].startswith("CPython 3.")
    for name, split in data.splits.items():
        assert abs(len(documents[name]) - split["documents"]) <= 1  # the tail may cut off the end of the last one
    meta = json.loads((packed / "meta.json").read_text())
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
    from pydoc_data.topics import topics

    raw = [text for topic in ("typesseq", "datamodel") for text in pydocs._sections(topics.get(topic, ""))]
    raw += [text for source in (textwrap, json) for text in pydocs._docstrings(Path(source.__file__).read_bytes())]
    raw = [text for text in raw if text]
    assert sum(map(junk, raw)) > 0.3 * len(raw)


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
    assert [text for text in pydocs._raw_texts() if text] == ["This is the text of a module that must not run."]
