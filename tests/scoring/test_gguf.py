"""A judge in a GGUF file: loaded by itself or in its folder, and what is said where it can't be."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import judges
from imdm.data.blocks import Dataset
from imdm.errors import UserError
from imdm.scoring import judge as module
from imdm.scoring.judge import load_judge, open_judge
from script import made

INSTALLED = all(importlib.util.find_spec(name) for name in ("gguf", "accelerate"))
needs_gguf = pytest.mark.skipif(not INSTALLED, reason="gguf and accelerate are not installed (the extra gguf)")
WIDTH, HEADS, LONGEST = 32, 4, 64


def write_gguf(path: Path, architecture: str = "llama") -> Path:
    """A Llama of one block with random weights and the tokenizer of judges.py."""
    from gguf import GGUFWriter, TokenType

    tree = json.loads(judges.tokenizer().to_str())["model"]
    tokens = sorted(tree["vocab"], key=tree["vocab"].get)
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(LONGEST)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL if token.startswith("<|") else TokenType.NORMAL for token in tokens])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in tree["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    draw = np.random.default_rng(0)
    shapes = {"token_embd": (len(tokens), WIDTH), "blk.0.ffn_down": (WIDTH, 2 * WIDTH), "output_norm": (WIDTH,)}
    shapes |= {f"blk.0.attn_{name}": (WIDTH, WIDTH) for name in ("q", "k", "v", "output")}
    shapes |= {f"blk.0.ffn_{name}": (2 * WIDTH, WIDTH) for name in ("gate", "up")}
    shapes |= {f"blk.0.{name}_norm": (WIDTH,) for name in ("attn", "ffn")}
    for name, shape in shapes.items():
        values = np.ones(shape) if name.endswith("norm") else draw.normal(0, 0.2, shape)
        writer.add_tensor(f"{name}.weight", values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@needs_gguf
def test_a_file_and_its_folder_are_one_judge(tmp_path):
    file = write_gguf(tmp_path / "small.gguf")
    by_file, by_folder = open_judge(str(file), "cpu"), open_judge(str(tmp_path), "cpu")
    assert (by_file.max_length, by_file.end_id, by_file.revision, by_file.name) == (LONGEST, 0, None, str(file))
    assert by_file.tokenizer.get_vocab().items() < judges.tokenizer().get_vocab().items()  # all but the mask
    text = " ".join(judges.TEXT)
    assert by_file.tokenizer.encode(text).ids == judges.tokenizer().encode(text).ids
    assert all(torch.equal(a, b) for a, b in zip(by_file.model.parameters(), by_folder.model.parameters(), strict=True))
    write_gguf(tmp_path / "other.gguf")
    with pytest.raises(UserError, match="holds 2 GGUF files; name one"):
        open_judge(str(tmp_path), "cpu")


@needs_gguf
def test_it_judges_held_out_text(tmp_path):
    file, data = write_gguf(tmp_path / "small.gguf"), judges.make_dataset(tmp_path / "data")
    out = made("load_judge", tmp_path / "out", "--data", data, sets=["judge.stage=load_judge", f"judge.model={file}"])
    judge = load_judge(out / "judge.json")
    assert judge.held_out_perplexity > 1 and judge.name == f"{tmp_path.name}/small.gguf"
    judge.check_vocabulary(Dataset.open(data), True)


@needs_gguf
def test_an_unknown_architecture_is_refused(tmp_path):
    with pytest.raises(UserError, match="can't be loaded .*not supported.*; set judge.model"):
        open_judge(str(write_gguf(tmp_path / "a.gguf", "no-such-model")), "cpu")


def test_what_is_missing_for_it_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"a GGUF file needs gguf and accelerate; install them"):
        open_judge(str(tmp_path / "a.gguf"), "cpu")


def test_what_is_no_gguf_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.gguf").write_bytes(b"nothing of the kind")
    monkeypatch.setattr(module, "find_spec", lambda name: name)
    with pytest.raises(UserError, match="can't be loaded"):
        open_judge(str(tmp_path), "cpu")
