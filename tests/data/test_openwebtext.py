"""OpenWebText from every form that it comes in, its held-out pages, memory that does not grow, and the blocks of real pages."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import lzma
import os
import re
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpora import packed, plain_blocks, tar_of
from fixtures import fixture
from imdm.data import openwebtext
from imdm.data.blocks import Dataset
from imdm.data.corpus import open_corpus
from imdm.data.packing import Packer, pack
from imdm.data.tokenizer import train_bpe
from imdm.errors import UserError
from imdm.params import Corpus

PAGES = [f"Page {i}.\n\nIt has two paragraphs, naïve ones." for i in range(23)]


def write_pages(folder: Path, form: str) -> str:
    """The same pages in one of the forms that OpenWebText comes in; the glob to give."""
    folder.mkdir()
    texts = [(f"{i:04d}-page.txt", page.replace("\n\n", "\n\n\n\n").encode() + b"\n") for i, page in enumerate(PAGES)]
    halves = [dict(texts[:12]), dict(texts[12:])]
    lines = "".join(json.dumps({"text": page, "id": i}) + "\n" for i, page in enumerate(PAGES)).encode()
    if form == "tar of texts":
        (folder / "openwebtext.tar").write_bytes(tar_of(dict(texts) | {"README.md": b"no page"}))
    elif form == "tar of tars":
        inner = {f"openwebtext/urlsf_subset0{i}-1_data.xz": tar_of(half, "w:xz") for i, half in enumerate(halves)}
        (folder / "openwebtext.tar.xz").write_bytes(tar_of(inner, "w:xz"))
    elif form == "subsets":
        for i, half in enumerate(halves):
            inner = {f"openwebtext/urlsf_subset0{i}-1_data.xz": lzma.compress(tar_of(half))}
            (folder / f"urlsf_subset0{i}.tar").write_bytes(tar_of(inner))
    elif form == "parquet":
        for i, half in enumerate((PAGES[:12], PAGES[12:])):
            table = pa.table({"url": ["u"] * len(half), "text": pa.array(half, pa.large_string() if i else pa.string())})
            pq.write_table(table, folder / f"train-{i:05d}.parquet", row_group_size=5)
    else:
        (folder / f"pages.{form}").write_bytes(gzip.compress(lines) if form.endswith("gz") else lines)
    return str(folder / "*")


@pytest.mark.parametrize("form", ["tar of texts", "tar of tars", "subsets", "parquet", "jsonl", "jsonl.gz"])
@pytest.mark.parametrize("held_out", [1, 5, 23, 100])
def test_every_form_gives_the_same_pages_and_the_last_ones_are_held_out(tmp_path, form, held_out):
    corpus = Corpus(name="openwebtext", path=write_pages(tmp_path / "pages", form), valid_documents=held_out)
    assert list(openwebtext.documents(corpus)) == [(page, i >= 23 - held_out) for i, page in enumerate(PAGES)]


def test_every_form_gives_the_same_blocks(tmp_path):
    found = []
    for form in ("tar of tars", "parquet", "jsonl"):
        path, out = write_pages(tmp_path / form, form), tmp_path / f"{form} packed"
        settings = {"valid_documents": 5, "vocab_size": 260, "judge_fraction": 0.3, "test_fraction": 0.4}
        assert packed(out, name="openwebtext", path=path, **settings).returncode == 0
        found.append(Dataset.open(out / "dataset.json").splits)
    assert found[0] == found[1] == found[2]
    documents = {name: split["documents"] for name, split in found[0].items()}
    assert documents["train"] + documents["judge"] == 18 and documents["valid"] + documents["test"] == 5


BAD = {
    "numbers.parquet": (lambda path: pq.write_table(pa.table({"text": [1, 2]}), path), "column 'text' is int64, not text"),
    "other.parquet": (lambda path: pq.write_table(pa.table({"body": ["a"], "id": [1]}), path), "no column 'text'.*\\(body, id\\)"),
    "broken.parquet": (lambda path: path.write_bytes(b"PAR1 but no more"), "is no parquet file, or a broken one"),
    "broken.tar.xz": (
        lambda path: path.write_bytes(tar_of({"a.txt": os.urandom(9000)}, "w:xz")[:5000]),
        "is no tar archive, or a broken one",
    ),
    "inner.tar": (lambda path: path.write_bytes(tar_of({"a.xz": b"no tar"})), "inner.tar is no tar archive, or a broken one"),
    "latin.tar": (lambda path: path.write_bytes(tar_of({"a.txt": b"Caf\xe9"})), "latin.tar: a.txt is not UTF-8 \\(byte 3\\)"),
    "pages.csv": (lambda path: path.write_text("text"), "is none of .tar, .*.parquet"),
}


@pytest.mark.parametrize("name", BAD)
def test_broken_pages_end_with_one_sentence(tmp_path, name):
    write, message = BAD[name]
    write(tmp_path / name)
    with pytest.raises(UserError, match=message):
        list(openwebtext.documents(Corpus(name="openwebtext", path=str(tmp_path / name))))


@pytest.mark.parametrize(
    "held_out, message",
    [(23, "the train split .* 0 tokens.*lower corpus.valid_documents"), (1, "the valid split .* raise corpus.valid_documents")],
)
def test_an_empty_split_names_its_remedy(tmp_path, held_out, message):
    path = write_pages(tmp_path / "pages", "jsonl")
    done = packed(tmp_path / "out", name="openwebtext", path=path, valid_documents=held_out, vocab_size=400, seq_len=60)
    assert done.returncode == 2 and re.search(message, done.stderr)


def test_memory_does_not_grow_with_the_corpus(tmp_path, monkeypatch):
    """Pages from a tar that is made while it is read are packed within 3 MB, ten times as many too, held-out queue included."""
    tokenizer = train_bpe(["several words"], 258)

    class Endless(io.RawIOBase):
        """The bytes of a tar of `count` pages of 12 kB."""

        def __init__(self, count: int):
            self.parts, self.left = self.pages(count), b""

        def pages(self, count: int) -> Iterator[bytes]:
            for i in range(count):
                page = (f"{i % 100:05d} " * 2048).encode()
                member = tarfile.TarInfo(f"{i}.txt")
                member.size = len(page)
                yield member.tobuf() + page + bytes(-len(page) % 512)
            yield bytes(1024)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer) -> int:
            self.left = self.left or next(self.parts, b"")
            part, self.left = self.left[: len(buffer)], self.left[len(buffer) :]
            buffer[: len(part)] = part
            return len(part)

    def peak(count: int) -> int:
        monkeypatch.setattr(openwebtext, "open_tar", lambda path: contextlib.nullcontext(io.BufferedReader(Endless(count))))
        packers = {name: Packer(tmp_path / f"{name}.bin", 64, 0, "per_batch") for name in ("train", "valid")}
        source = open_corpus(Corpus(name="openwebtext", path=str(tmp_path / "endless.tar"), valid_documents=20))
        documents = ((text, "valid" if held_out else "train") for text, held_out in source)
        tracemalloc.start()
        assert sum(pack(documents, tokenizer, packers, batch=4)) == count
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert packers["valid"].summary()["documents"] == 20
        return most

    (tmp_path / "endless.tar").touch()
    small, large = peak(60), peak(600)
    assert large < 1.2 * small and large < 2e7, (small, large)  # the most that a line may have, 16 MiB, is read at once


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
