"""docs/library.md: its code, in order, on a corpus, a model and a judge of a few weights."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import torch

import documents
import judges
from imdm.data.blocks import Dataset
from imdm.network.checkpoint import load_network, save_network
from networks import small_network


def test_a_model_is_loaded_sampled_scored_and_teaches(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = Dataset.open(judges.make_dataset(tmp_path / "data/pydocs-carry-32"))
    judges.make_judge(tmp_path / "results/tiny/judge")
    model = tmp_path / "results/tiny/models/imdm/sdtt3/model.safetensors"
    model.parent.mkdir(parents=True)
    sizes = {"vocab_size": data.vocab_size, "mask_id": data.mask_id, "seq_len": data.seq_len, "tokenizer_sha256": data.tokenizer_sha256}
    save_network(model, small_network(mask="infinite", **sizes))

    code = [block.text for block in documents.blocks("docs/library.md") if block.declared == "tests/docs/test_docs_library.py"]
    names: dict = {}
    exec("\n".join(code).replace("steps=200, batch_size=64", "steps=3, batch_size=4"), names)

    assert names["tokens"].shape == (64, data.seq_len) and (names["tokens"] < data.vocab_size).all()
    value, low, high = names["figures"]["gen_ppl"]
    assert low < value < high and math.isfinite(high)
    student, teacher = load_network("my-student/model.safetensors", "online"), load_network(model, "online")
    assert any(not torch.equal(ours, theirs) for ours, theirs in zip(student.parameters(), teacher.parameters(), strict=True))
    assert [row["step"] for row in csv.DictReader(Path("my-student/train_log.csv").read_text().splitlines())] == ["1", "2", "3"]
