"""Data sets of the hub, and the paper's corpora there: local folders in their place, and a loader that refuses in the hub's words."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub.errors import OfflineModeIsEnabled

from corpora import packed
from imdm.data import hub, lm1b
from imdm.data.corpus import open_corpus
from imdm.data.hub import HubCorpus
from imdm.errors import UserError
from imdm.params import Corpus

TEXTS = [f"Once upon a time there was cat number {number}, which sat on a mat." for number in range(400)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A data set of two files and an empty story."""
    folder = tmp_path_factory.mktemp("stories")
    for part in range(2):
        rows = [*TEXTS[200 * part : 200 * part + 200], "  "]
        pq.write_table(pa.table({"story": rows, "number": list(range(len(rows)))}), folder / f"train-{part}.parquet")
    return folder


def test_a_data_set_is_streamed_up_to_a_limit(folder):
    corpus = Corpus(name="hub", path=str(folder), text_field="story", limit=300)
    texts = open_corpus(corpus)
    assert (texts.count, texts.origin) == (300, str(folder))
    assert [text for text, _ in texts] == TEXTS[:299] == [text for text, _ in texts]  # the empty one counts as read
    assert len(list(hub.documents(corpus.model_copy(update={"limit": None}), None))) == 400


def test_it_is_packed(folder, tmp_path):
    done = packed(tmp_path / "out", name="hub", path=folder, text_field="story", limit=300)
    assert done.returncode == 0, done.stderr
    about = json.loads((tmp_path / "out/dataset.json").read_text())
    assert sum(split["documents"] for split in about["splits"].values()) == 299 and about["statistics"]["source"] == str(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text_field": "text"}, "train has no column 'text'; set corpus.text_field to one of story, number"),
        ({"text_field": "number"}, "column 'number' is int, not text"),
        ({"split": "tests"}, "tests can't be had .*; correct corpus.path, config, split or revision"),
        ({"config": "french"}, "french train can't be had .*; correct corpus.path, config"),
    ],
)
def test_what_the_data_set_lacks_is_named(folder, tmp_path, change, words):
    with pytest.raises(UserError, match=words):
        list(hub.documents(Corpus(name="hub", path=str(folder), **({"text_field": "story"} | change)), None))
    done = packed(tmp_path / "out", name="hub", path=folder, **({"text_field": "story"} | change))
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and not (tmp_path / "out").exists(), done.stderr


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (DatasetNotFoundError("Dataset 'org/name' doesn't exist on the Hub or cannot be accessed."), "correct corpus.path"),
        (DatasetNotFoundError("Dataset 'org/name' is a gated dataset on the Hub."), "ask for access .* `hf auth login`"),
        (ConnectionError("Couldn't reach the Hub"), "run where the hub can be reached, or set corpus.path to a folder"),
        (OfflineModeIsEnabled("offline"), "run where the hub can be reached"),
    ],
)
def test_the_hubs_refusals_are_one_sentence(monkeypatch, error, words):
    def refuse(*_, **__):
        raise error

    corpus = Corpus(name="hub", path="org/name")
    monkeypatch.setattr(datasets, "load_dataset", refuse)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refuse)
    for read in (lambda: open_corpus(corpus), lambda: list(hub.documents(corpus, "a" * 40))):
        with pytest.raises(UserError, match=rf"org/name train can't be had from the hub .*; {words}"):
            read()


def test_every_reading_is_of_the_commit_that_is_recorded(monkeypatch, folder):
    read, asked = [], []

    class Info:
        sha = "a" * 40

    def load(path, config, split, revision, streaming):
        asked.append((path, config, split, revision, streaming))
        return datasets_load(str(folder), split="train", streaming=True)

    datasets_load = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda self, path, revision: read.append((path, revision)) or Info())
    texts = open_corpus(Corpus(name="hub", path="org/name", config="en", revision="v2", text_field="story", limit=5))
    assert [len(list(texts)) for _ in range(2)] == [5, 5] and texts.summary["source"] == f"org/name@{'a' * 40}"
    assert asked == [("org/name", "en", "train", "a" * 40, True)] * 2 and read == [("org/name", "v2")]


def test_it_must_be_named():
    with pytest.raises(ValueError, match="path must be ORG/NAME where corpus.name is hub"):
        Corpus(name="hub")


# The paper's corpora


@pytest.mark.parametrize("name", ["lm1b", "openwebtext"])
def test_without_the_hub_one_sentence_asks_for_a_copy(monkeypatch, name):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="can't be had from the hub .*set corpus.path to a local copy"):
        list(open_corpus(Corpus(name=name)))


@pytest.fixture
def published(tmp_path, monkeypatch) -> Path:
    """A folder that stands for a data set on the hub, and a cache of its own."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    datasets.disable_progress_bars()
    folder = tmp_path / "hub"
    (folder / "plain_text").mkdir(parents=True)
    for split in ("train", "test"):
        sentences = [f"{split} sentence {i} ." for i in range(2500 if split == "train" else 3)]
        pq.write_table(pa.table({"text": sentences}), folder / "plain_text" / f"{split}-00000-of-00001.parquet")
    return folder


def test_lm1b_of_the_hub(monkeypatch, published):
    monkeypatch.setattr(lm1b, "HUB", HubCorpus(str(published), {"train": 2500, "test": 3}))
    source = open_corpus(Corpus(name="lm1b"))
    expected = [(f"train sentence {i}.", False) for i in range(2500)] + [(f"test sentence {i}.", True) for i in range(3)]
    assert source.count == 2503 and list(source) == expected


def test_a_partial_copy_of_the_hub_is_refused(published):
    with pytest.raises(UserError, match="has 3 documents instead of 306,688 in test; set corpus.path"):
        list(HubCorpus(str(published), {"test": 306_688}).texts("test"))


def test_what_the_hub_made_of_a_script_is_taken(monkeypatch, published):
    asked = []

    def load_dataset(name: str, split: str, revision: str | None):
        asked.append(revision)
        if revision is None:
            raise RuntimeError("Dataset scripts are no longer supported, but found lm1b.py")
        return datasets.Dataset.from_dict({"text": ["a", "b"]})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert list(HubCorpus("x/y", {"train": 2}).texts("train")) == ["a", "b"] and asked == [None, "refs/convert/parquet"]
