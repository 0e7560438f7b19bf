"""The paper's corpora from the hub, and the blocks that tokenize_pack makes of real pieces of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpora import packed, plain_blocks
from fixtures import HELD_OUT, TRAINING, fixture
from imdm.data import lm1b
from imdm.data.blocks import Dataset
from imdm.data.corpus import open_corpus
from imdm.data.hub import HubCorpus
from imdm.errors import UserError
from imdm.params import Corpus

# The hub


@pytest.mark.parametrize("name", ["lm1b", "openwebtext"])
def test_without_the_hub_one_sentence_asks_for_a_copy(monkeypatch, name):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="can't be had from the hub .*set corpus.path to a local copy"):
        list(open_corpus(Corpus(name=name)))


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    """A folder that stands for a data set on the hub, and a cache of its own."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    datasets.disable_progress_bars()
    folder = tmp_path / "hub"
    (folder / "plain_text").mkdir(parents=True)
    for split in ("train", "test"):
        sentences = [f"{split} sentence {i} ." for i in range(2500 if split == "train" else 3)]
        pq.write_table(pa.table({"text": sentences}), folder / "plain_text" / f"{split}-00000-of-00001.parquet")
    return folder


def test_lm1b_of_the_hub(monkeypatch, hub):
    monkeypatch.setattr(lm1b, "HUB", HubCorpus(str(hub), {"train": 2500, "test": 3}))
    source = open_corpus(Corpus(name="lm1b"))
    expected = [(f"train sentence {i}.", False) for i in range(2500)] + [(f"test sentence {i}.", True) for i in range(3)]
    assert source.count == 2503 and list(source) == expected


def test_a_partial_copy_of_the_hub_is_refused(hub):
    with pytest.raises(UserError, match="has 3 documents instead of 306,688 in test; set corpus.path"):
        list(HubCorpus(str(hub), {"test": 306_688}).texts("test"))


def test_what_the_hub_made_of_a_script_is_taken(monkeypatch, hub):
    import datasets

    asked = []

    def load_dataset(name: str, split: str, revision: str | None):
        asked.append(revision)
        if revision is None:
            raise RuntimeError("Dataset scripts are no longer supported, but found lm1b.py")
        return datasets.Dataset.from_dict({"text": ["a", "b"]})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert list(HubCorpus("x/y", {"train": 2}).texts("train")) == ["a", "b"] and asked == [None, "refs/convert/parquet"]


# The real pieces


@pytest.mark.parametrize("packing", ["carry", "per_batch"])
def test_real_lm1b_with_bert(tmp_path, packing):
    """Blocks against those of a plain loop over ids of the Python tokenizer of transformers."""
    from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

    vocabulary, shard = fixture("tokenizers/bert_base_uncased"), fixture("lm1b/news.en.heldout-00000-of-00050")
    lines = shard.read_text(encoding="utf-8").splitlines()[:2300]
    for name, part in ((f"{TRAINING}00001-of-00002", lines[:2200]), (f"{HELD_OUT}00000-of-00001", lines[2200:])):
        path = tmp_path / "lm1b" / name
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(part) + "\n", encoding="utf-8")
    out = tmp_path / "out"
    assert packed(out, name="lm1b", path=tmp_path / "lm1b", tokenizer=vocabulary, packing=packing, seq_len=128).returncode == 0
    data = Dataset.open(out / "dataset.json")
    assert (data.vocab_size, data.mask_id, data.bos_id, data.eos_id) == (30_522, 103, 101, 101)
    assert (data.packing, data.tokenizer_kind, data.tokenizer_source) == (packing, "WordPiece", str(vocabulary))

    oracle = BertTokenizerLegacy(str(vocabulary / "vocab.txt"))
    ids = [oracle.encode(lm1b.detokenize(line), add_special_tokens=False) + [101] for line in lines]
    for name, part in (("train", ids[:2200]), ("valid", ids[2200:])):
        blocks = plain_blocks(part, 128, 101, 1000 if packing == "per_batch" else len(part))
        assert np.array_equal(data.split(name), blocks)
        assert data.splits[name]["dropped"] == sum(map(len, part)) - 126 * len(blocks)
    if packing == "per_batch":
        assert data.splits["train"]["dropped"] > data.splits["valid"]["dropped"]


def test_real_web_text_with_gpt2(tmp_path):
    from transformers import GPT2Tokenizer

    vocabulary, pages, out = fixture("tokenizers/gpt2"), tmp_path / "pages.jsonl", tmp_path / "out"
    pages.write_bytes(b"".join(fixture("webtext/webtext.valid.short.jsonl").read_bytes().splitlines(keepends=True)[:1700]))
    options = {"packing": "per_batch", "seq_len": 256, "valid_documents": 500, "workers": 2}
    assert packed(out, name="openwebtext", path=pages, tokenizer=vocabulary, **options).returncode == 0
    data = Dataset.open(out / "dataset.json")
    assert (data.vocab_size, data.mask_id, data.bos_id, data.eos_id, data.tokenizer_kind) == (50_258, 50_257, 50_256, 50_256, "BPE")

    texts = [json.loads(line)["text"] for line in pages.read_text(encoding="utf-8").splitlines()]
    ids = [[*found, 50_256] for found in GPT2Tokenizer.from_pretrained(str(vocabulary))(texts, add_special_tokens=False)["input_ids"]]
    for name, part in (("train", ids[:-500]), ("valid", ids[-500:])):
        assert np.array_equal(data.split(name), plain_blocks(part, 256, 50_256, 1000))
    decoded = data.tokenizer().decode(data.split("valid")[:, 1:-1].ravel().tolist(), skip_special_tokens=False)
    assert "<|endoftext|>".join(texts[-500:]).startswith(decoded)
