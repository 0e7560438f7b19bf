"""LM1B: its detokenizer, its tar and its folder, copies that lack something, and the blocks of real sentences."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora import packed, plain_blocks, tar_of
from fixtures import HELD_OUT, TRAINING, fixture
from imdm.data import lm1b
from imdm.data.blocks import Dataset
from imdm.errors import UserError
from imdm.params import Corpus

SHARDS = {
    f"{TRAINING}00001-of-00003": "The cat , he said , is red .\nIs it ?\n",
    f"{TRAINING}00002-of-00003": "It costs $ 5 .\n",
    f"{HELD_OUT}00000-of-00001": "Held out !\nNaïve ; true .\n",
}
SENTENCES = [("The cat, he said, is red.", False), ("Is it?", False), ("It costs $5.", False), ("Held out!", True), ("Naïve; true.", True)]


@pytest.mark.parametrize(
    "tokenized, plain",
    [
        ("See http : / / a.b / c and https : / / d .", "See http://a.b/c and https://d ."),
        ("Wal-Mart 's founder said : it 's 1 / 2 ; yes .", "Wal-Mart's founder said: it's 1/2; yes."),
        ("He said no . Yes , he did !", "He said no. Yes, he did!"),
        ("Why ? Because ! So ?", "Why? Because! So?"),
        ('He said : " We let folks know . "', 'He said: "We let folks know."'),
        ("the ' old ' one ( see [ 3 ] ) here", "the 'old' one (see [3]) here"),
        ("$ 5 or £ 4 , not € 3", "$5 or £4, not € 3"),
        ("it ended at 5 p.m.", "it ended at 5 p.m."),
        ("one . two . three .", "one . two. three."),  # a word is one between two blanks
        ("what ? ? ?", "what? ??"),
        ("", ""),
    ],
)
def test_detokenizer(tokenized, plain):
    assert lm1b.detokenize(tokenized) == plain


@given(st.text(alphabet=" .,;:?!'\"()[]/$£ahtps", max_size=60))
def test_the_detokenizer_takes_out_blanks_only(text):
    assert lm1b.detokenize(text).replace(" ", "") == text.replace(" ", "")


def test_real_sentences_lose_their_loose_punctuation():
    lines = fixture("lm1b/news.en.heldout-00000-of-00050").read_text(encoding="utf-8").splitlines()
    plain = [lm1b.detokenize(line) for line in lines]
    assert len(plain) == 6075
    for line, text in zip(lines, plain):
        assert text.replace(" ", "") == line.replace(" ", "")
    assert not [text for text in plain if " , " in text or " ; " in text or text.endswith((" ?", " !"))]
    assert sum(text.endswith(" .") for text in plain) < 0.06 * sum(line.endswith(" .") for line in lines)  # behind marks of quotation
    assert "operation: \"We let folks know we're interested in them" in plain[1]


@pytest.fixture
def shards(tmp_path) -> Path:
    for name, text in SHARDS.items():
        path = tmp_path / "lm1b" / "benchmark-r13output" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "lm1b" / "README").write_text("no shard")
    return tmp_path / "lm1b"


@pytest.mark.parametrize("suffix", ["", "gz", "xz"])
def test_lm1b_tar_equals_its_folder(shards, tmp_path, suffix):
    files = {f"benchmark-r13output/{name}": text.encode() for name, text in SHARDS.items()} | {"benchmark-r13output/README": b"no shard"}
    (tmp_path / "lm1b.tar").write_bytes(tar_of(files, f"w:{suffix}"))
    for path in (shards, shards / "benchmark-r13output", tmp_path / "lm1b.tar"):
        assert list(lm1b.documents(Corpus(name="lm1b", path=str(path)))) == SENTENCES


def test_held_out_shards_are_the_validation_split(shards, tmp_path):
    assert packed(tmp_path / "out", name="lm1b", path=shards, vocab_size=258).returncode == 0
    data = Dataset.open(tmp_path / "out" / "dataset.json")
    assert {name: split["documents"] for name, split in data.splits.items()} == {"train": 3, "judge": 0, "valid": 2, "test": 0}
    stream = [*data.split("valid")[:, 1:-1].ravel().tolist()]
    assert data.tokenizer().decode(stream, skip_special_tokens=False).startswith("Held out!<|endoftext|>Na")
    assert (tmp_path / "out" / "test.bin").stat().st_size == 0 and data.packing == "carry" and data.tokenizer_source == "trained"


def damage_lm1b(shards: Path, what: str) -> Path:
    archive = shards.with_suffix(".tar.gz")
    if what in ("training", "held-out"):
        for path in shards.rglob("news.en-*" if what == "training" else "news.en.heldout-*"):
            path.unlink()
        return shards
    if what == "other tar":
        archive.write_bytes(tar_of({"README": b"no shard"}, "w:gz"))
    elif what == "no tar":
        archive.write_bytes(b"plain text, not a tar archive")
    elif what == "cut":
        archive.write_bytes(tar_of({f"{TRAINING}1": os.urandom(9000).hex().encode()}, "w:gz")[:4000])
    elif what == "latin":
        archive.write_bytes(tar_of({f"{TRAINING}1": "fine\nCafé\n".encode("latin-1")}, "w:gz"))
    return archive


@pytest.mark.parametrize(
    "what, message",
    [
        ("training", "holds no training shards; it must hold news.en-"),
        ("held-out", "holds no held-out shards"),
        ("other tar", "holds none of the benchmark's shards"),
        ("no tar", "is no tar archive, or a broken one"),
        ("cut", "is no tar archive, or a broken one"),
        ("latin", "is not UTF-8 \\(line 2, byte 8\\)"),
        ("absent", "does not exist; correct it"),
    ],
)
def test_an_incomplete_lm1b_is_refused(shards, what, message):
    with pytest.raises(UserError, match=message):
        list(lm1b.documents(Corpus(name="lm1b", path=str(damage_lm1b(shards, what)))))


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
