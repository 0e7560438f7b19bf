"""Splits, packing, block order and the reader of packed corpora."""

from __future__ import annotations

import hashlib
import math
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import judges
from corpora import plain_blocks
from imdm.data.blocks import Dataset, batch_indices, block_order, unigram_perplexity
from imdm.data.corpus import SPLITS, Splitter
from imdm.data.packing import Packer, pack
from imdm.data.tokenizer import END, MASK, train_bpe
from imdm.errors import UserError
from imdm.params import Corpus
from imdm.stage.artifact import sha256

TEXT = [f"The {noun} is {adjective}, and so it goes." for noun in ("cat", "dog", "naïve owl") for adjective in ("red", "über", "old")]
DOCUMENTS = st.lists(st.text(min_size=1, max_size=60), max_size=30)


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe(TEXT * 5, 290)


def packed(folder: Path, documents: list[str], tokenizer, seq_len: int, batch: int, corpus: Corpus | None = None) -> dict[str, Packer]:
    packers = {name: Packer(folder / f"{name}.bin", seq_len, 0) for name in SPLITS}
    split_of = Splitter(corpus or Corpus(), 0)
    assert sum(pack([(document, split_of(document)) for document in documents], tokenizer, packers, batch)) == len(documents)
    return packers


def read(packer: Packer) -> np.ndarray:
    return np.fromfile(packer.path, "<u2").reshape(-1, packer.seq_len)


@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_a_document_is_a_block(tmp_path_factory, lengths):
    """Cut, or filled up with EOS; the text's tokens are counted as they were."""
    packer = Packer(tmp_path_factory.mktemp("alone") / "x.bin", 7, 0, "document")
    packer.add(np.arange(1, length + 1, dtype="<u2").tobytes() for length in lengths)
    assert read(packer).tolist() == [[0, *[place if place <= length else 0 for place in range(1, 6)], 0] for length in lengths]
    assert packer.text_tokens == sum(lengths) and packer.summary()["dropped"] == sum(max(0, length - 5) for length in lengths)
    assert packer.summary()["blocks"] == packer.summary()["documents"] == len(lengths)


@settings(max_examples=60, deadline=None)
@given(documents=DOCUMENTS, seq_len=st.integers(4, 17), batches=st.tuples(st.integers(1, 7), st.integers(8, 40)))
def test_no_token_is_lost_and_batches_do_not_matter(tmp_path_factory, tokenizer, documents, seq_len, batches):
    folder = tmp_path_factory.mktemp("packed")
    packers = packed(folder, documents, tokenizer, seq_len, batches[0])
    split_of = Splitter(Corpus(), 0)
    for name, packer in packers.items():
        blocks, summary = read(packer), packer.summary()
        mine = [document for document in documents if split_of(document) == name]
        assert (blocks[:, 0] == 0).all() and (blocks[:, -1] == 0).all()
        stream = np.concatenate([blocks[:, 1:-1].ravel(), packer.rest])
        expected = [token for document in mine for token in [*tokenizer.encode(document).ids, 0]]
        assert stream.tolist() == expected
        assert summary["tokens"] + summary["dropped"] == len(expected) and summary["dropped"] < seq_len - 2
        assert packer.text_tokens == len(expected) - len(mine)
        assert summary["blocks"] == len(blocks) and summary["documents"] == len(mine) and summary["sha256"] == sha256(packer.path)
        assert tokenizer.decode(stream.tolist(), skip_special_tokens=False) == "".join(document + END for document in mine)
    again = packed(tmp_path_factory.mktemp("again"), documents, tokenizer, seq_len, batches[1])
    assert {name: packer.summary() for name, packer in again.items()} == {name: packer.summary() for name, packer in packers.items()}


def test_the_number_of_processes_does_not_matter(tmp_path, tokenizer):
    documents = [(f"{text} {MASK} {i}", ("train", "valid")[i % 3 == 0]) for i, text in enumerate(TEXT * 9)]
    found = []
    for workers in (1, 2):
        packers = {name: Packer(tmp_path / f"{name}{workers}.bin", 8, 0) for name in ("train", "valid")}
        assert list(pack(documents, tokenizer, packers, 7, workers)) == [7] * 11 + [4]
        found.append({name: packer.summary() for name, packer in packers.items()})
    assert found[0] == found[1] and found[0]["valid"]["documents"] == 27


@settings(max_examples=60, deadline=None)
@given(
    documents=st.lists(st.lists(st.integers(1, 9), max_size=12), max_size=30),
    seq_len=st.integers(4, 9),
    drop_every=st.integers(1, 8),
    cuts=st.lists(st.integers(0, 30), max_size=4),
)
def test_each_batch_of_documents_is_packed_on_its_own(tmp_path_factory, documents, seq_len, drop_every, cuts):
    packer = Packer(tmp_path_factory.mktemp("packed") / "train.bin", seq_len, 0, "per_batch")
    packer.drop_every = drop_every
    edges = [0, *sorted(cuts), len(documents)]
    for start, end in zip(edges, edges[1:]):
        packer.add(np.array(ids, np.uint16).tobytes() for ids in documents[start:end])
    expected = plain_blocks([[*ids, 0] for ids in documents], seq_len, 0, drop_every)
    tokens = len(expected) * (seq_len - 2)
    assert read(packer).tolist() == expected
    counts = {"blocks": len(expected), "tokens": tokens, "dropped": sum(len(ids) + 1 for ids in documents) - tokens}
    assert packer.summary() == counts | {"documents": len(documents), "sha256": sha256(packer.path)}


def test_splits_have_their_share_and_ignore_order():
    documents = [f"document {i}" for i in range(20_000)]
    split_of = Splitter(Corpus(judge_fraction=0.4, valid_fraction=0.05, test_fraction=0.05), 0)
    first = {document: split_of(document) for document in documents}
    random.Random(0).shuffle(documents)
    assert {document: split_of(document) for document in documents} == first
    for name, share in {"train": 0.5, "judge": 0.4, "valid": 0.05, "test": 0.05}.items():
        assert abs(sum(split == name for split in first.values()) / len(first) - share) < 0.012
    other = Splitter(Corpus(), 1)
    assert 0.3 < sum(other(document) == split for document, split in first.items()) / len(first) < 0.52


def test_split_is_known_beforehand():
    """Pins the hash: another one would move documents between splits and make old artifacts leak."""
    split_of = Splitter(Corpus(), 7)
    assert "".join(split_of(text)[0] for text in "abcdefghijkl") == "tjtttttttttv"


def test_held_out_documents_are_never_trained_on():
    corpus = Corpus(name="lm1b", judge_fraction=0.3, valid_fraction=0.9, test_fraction=0.2)
    split_of = Splitter(corpus, 0)
    assert split_of.used == set(SPLITS)
    for held_out, names in ((False, {"train": 0.7, "judge": 0.3}), (True, {"valid": 0.8, "test": 0.2})):
        found = [split_of(f"document {i}", held_out) for i in range(4000)]
        assert {name: found.count(name) / 4000 for name in names} == pytest.approx(names, abs=0.025)
    assert Splitter(Corpus(name="openwebtext", judge_fraction=0, test_fraction=0), 0).used == {"train", "valid"}
    with pytest.raises(UserError, match="corpus.test_fraction = 1 leaves nothing to validate on"):
        Splitter(Corpus(name="lm1b", test_fraction=1), 0)


@settings(max_examples=80, deadline=None)
@given(blocks=st.integers(1, 60), batch=st.integers(1, 90), seed=st.integers(-(2**63), 2**63 - 1))
def test_every_epoch_is_a_permutation(blocks, batch, seed):
    steps = math.ceil(3 * blocks / batch)
    row = np.concatenate([batch_indices(blocks, step, batch, seed) for step in range(steps)])
    assert row.dtype == np.int64 and len(row) == steps * batch
    for epoch in range(3):
        assert sorted(row[epoch * blocks : (epoch + 1) * blocks]) == list(range(blocks))
        assert (row[epoch * blocks : (epoch + 1) * blocks] == block_order(blocks, seed, epoch)).all()


def test_orders_look_random():
    places = np.stack([np.argsort(block_order(5, seed, epoch)) for seed in range(200) for epoch in range(10)])
    counts = np.stack([np.bincount(places[:, block], minlength=5) for block in range(5)])
    assert ((counts - 400) ** 2 / 400).sum() < 45  # chi-square with 16 degrees of freedom: beyond 39 in one of 1,000
    assert len({tuple(order) for order in places}) == 120  # every permutation occurs
    long = block_order(100_000, 0, 0)
    assert abs(np.corrcoef(long[:-1], long[1:])[0, 1]) < 0.02 and abs(np.corrcoef(long, block_order(100_000, 0, 1))[0, 1]) < 0.02
    assert block_order(10, 3, 2).tolist() == [6, 0, 3, 5, 4, 2, 7, 9, 1, 8]  # the same on every machine


def test_unigram_perplexity_of_uniform_tokens_is_their_number():
    blocks = np.tile(np.arange(8, dtype=np.uint16), (50_000, 1))
    assert unigram_perplexity(blocks, blocks, 8) == pytest.approx(8, rel=1e-6)
    assert math.isfinite(unigram_perplexity(blocks, np.full((1, 8), 9, np.uint16), 10))


@pytest.fixture
def dataset(tmp_path) -> Path:
    return judges.make_dataset(tmp_path)


def test_a_dataset_opens(dataset):
    data = Dataset.open(str(dataset))
    blocks = data.split("train")
    assert blocks.dtype == np.uint16 and blocks.shape == (40, judges.LENGTH)
    assert hashlib.sha256(blocks.tobytes()).hexdigest() == data.splits["train"]["sha256"]
    assert data.tokenizer().get_vocab_size() == data.vocab_size
    assert not blocks.flags.writeable


def test_a_damaged_dataset_is_refused(dataset):
    data = Dataset.open(dataset)
    file = dataset.with_name("valid.bin")
    content = file.read_bytes()
    file.write_bytes(content[:-2])
    with pytest.raises(UserError, match=f"valid.bin has {len(content) - 2} bytes instead of {len(content)}"):
        data.split("valid")
    file.write_bytes(content[:-2] + b"\7\7")
    with pytest.raises(UserError, match="edited or is damaged"):
        data.split("valid")
    file.unlink()
    with pytest.raises(UserError, match="is missing"):
        data.split("valid")
    with pytest.raises(UserError, match="no split 'dev'"):
        data.split("dev")


def test_foreign_files_are_refused(dataset, tokenizer):
    data = Dataset.open(dataset)
    train_bpe(TEXT, 280).save(str(dataset.with_name("tokenizer.json")))
    with pytest.raises(UserError, match="is not the tokenizer"):
        data.tokenizer()
    with pytest.raises(UserError, match="does not exist; correct --data or run tokenize_pack"):
        Dataset.open(dataset.with_name("nothing.json"))
    for content in ("[1]", '{"corpus": "files"}', "no json", "\udcff"):
        dataset.write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(UserError, match="is not a dataset.json"):
            Dataset.open(dataset)
