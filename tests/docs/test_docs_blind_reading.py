"""docs/blind_reading.py: a reader sees no source, and the table counts what the reader took for a person's."""

from __future__ import annotations

import runpy

import pandas as pd

import judges
from checkout import ROOT
from imdm.data.blocks import Dataset
from imdm.data.speller import Speller
from imdm.network.checkpoint import save_network
from networks import small_network


def test_texts_are_counted_for_their_source(tmp_path, capsys, monkeypatch):
    script = runpy.run_path(str(ROOT / "docs/blind_reading.py"))
    data = Dataset.open(judges.make_dataset(tmp_path / "data"))
    sizes = {"vocab_size": data.vocab_size, "mask_id": data.mask_id, "seq_len": data.seq_len, "tokenizer_sha256": data.tokenizer_sha256}
    save_network(tmp_path / "model.safetensors", small_network(**sizes))
    arguments = [
        "--model",
        str(tmp_path),
        "--data",
        str(data.path),
        "--steps",
        "2",
        "--count",
        "3",
        "--temperatures",
        "1",
        "0.5",
        "--out",
        str(tmp_path / "said.csv"),
    ]

    def shown(answer: str) -> tuple[list[str], list[list[str]]]:
        monkeypatch.setattr("builtins.input", lambda _: answer)
        script["main"](arguments)
        lines = capsys.readouterr().out.rstrip("\n").split("\n")
        return lines[:9], [line.split() for line in lines[-3:]]

    texts, table = shown("")
    assert table == [["held-out", "text", "3", "3"], ["temperature", "0.5", "3", "3"], ["temperature", "1", "3", "3"]]
    speller = Speller.of(data)
    real = {script["plain"](speller.pieces(row.tolist(), [0] * len(row))) for row in data.split("test")}
    written = [number for number, text in enumerate(texts) if text.partition(" ")[2] not in real]
    assert len(written) == 6 and written not in (list(range(6)), list(range(3, 9)))  # in random order
    again, table = shown(" ".join(map(str, written)))
    assert again == texts
    assert table == [["held-out", "text", "3", "3"], ["temperature", "0.5", "0", "3"], ["temperature", "1", "0", "3"]]
    said = pd.read_csv(tmp_path / "said.csv", index_col="number")
    assert list(said.index[~said["taken"]]) == written and list(said.index[said["text"].notna()]) == written  # not the corpus's own
