"""Traps that once hung, ended in a traceback or were taken over: each is one sentence now."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fuzz.readers import checkpoint, corpus, torch_file
from imdm.data import text_files
from imdm.data.tokenizer import bounded, train_bpe
from imdm.errors import UserError
from imdm.network.checkpoint import load_network
from imdm.params import Corpus
from imdm.publish.public import load_public


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t | {"online.blocks.2000000.norm1.weight": torch.ones(16)}, "blocks.2000000"),
        (lambda t: {name: value * float("nan") for name, value in t.items()}, "NaN or infinite"),
        (lambda t: {name: value.int() for name, value in t.items()}, "floating-point"),
        (lambda t: {name: value.bool() for name, value in t.items()}, "floating-point"),
    ],
)
def test_weights_that_are_none(tmp_path, change, words):
    from safetensors import safe_open

    path = checkpoint(tmp_path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file(change(load_file(path)), path, metadata)
    with pytest.raises(UserError, match=words):
        load_network(path)


def test_tensors_that_are_larger_than_their_file(tmp_path):
    path = torch_file(tmp_path)
    tree = torch.load(path)
    tree["state_dict"]["backbone.vocab_embed.embedding"] = torch.zeros(1, 1).expand(2**20, 2**20)
    torch.save(tree, path)
    with pytest.raises(UserError, match="not as a whole array"):
        load_public(str(path), data=corpus())


def read(path: Path) -> list[str]:
    return list(text_files.documents(Corpus(name="files", path=str(path))))


def test_shards_that_are_no_text(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    os.mkfifo(tmp_path / "b.txt")
    with pytest.raises(UserError, match="b.txt is a pipe"):
        read(tmp_path / "*.txt")
    (tmp_path / "c.jsonl").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="c.jsonl does not exist"):
        read(tmp_path / "*.jsonl")
    (tmp_path / "d.txt").write_bytes(b"x" * (50 << 20))
    with pytest.raises(UserError, match="d.txt, line 1 is longer than 16 MiB"):
        read(tmp_path / "d.txt")


def test_a_tokenizer_is_trained_on_words_without_end():
    text = "ab" * 500_000
    assert "".join(bounded(text)) == text and max(map(len, bounded(text))) == 1000 and bounded("plain words") == ["plain words"]
    assert train_bpe([text], 300).get_vocab_size() <= 300
