"""The page of samples side by side that docs/quickstart.md makes, of two models whose samples are known."""

from __future__ import annotations

import runpy

import numpy as np

import judges
from checkout import ROOT
from imdm.data.blocks import Dataset
from imdm.data.speller import BREAK
from imdm.sampling.files import SampleFile, save_samples
from imdm.stage.shards import about_rows

BLANK = {"conditional": None, "matching": None, "task": "unconditional", "temperature": {"1": 1.0, "4": 1.0}, "precision": "float32"}


def test_a_line_a_model_and_a_column_a_step_count(tmp_path):
    data = Dataset.open(judges.make_dataset(tmp_path / "data"))
    blocks, names = data.split("train")[:6].astype("int32"), ["teacher", "imdm/redi"]
    for model, rows in zip(names, (blocks[:3], blocks[3:]), strict=True):
        about = BLANK | {"model": model, "steps": [1, 4], "draws": "float64", "tokenizer_sha256": data.tokenizer_sha256, "seed": 0}
        columns = {"tokens": {1: rows, 4: rows[::-1].copy()}, "unmasked_at": dict.fromkeys((1, 4), np.zeros_like(rows))}
        columns |= {"calls": dict.fromkeys((1, 4), np.ones(3, "int32"))}
        folder = tmp_path / "run/samples" / model
        folder.mkdir(parents=True)
        save_samples(folder / "samples.safetensors", SampleFile(**columns, about=about | about_rows(range(3), 3)))
    views = runpy.run_path(str(ROOT / "docs/side_by_side.py"))["page"](tmp_path / "run", names, data, 3)
    decoded = [data.tokenizer().decode(row.tolist(), skip_special_tokens=False) for row in blocks]
    texts = [text.replace("<|endoftext|>", BREAK).strip(BREAK).strip().replace("\n", " ") for text in decoded]
    assert [view.columns for view in views] == [["Model", "1 step", "4 steps"]] * 3
    for row, view in enumerate(views):
        expected = [[texts[row], texts[2 - row]], [texts[3 + row], texts[5 - row]]]
        assert [[cell.text for cell in line[1:]] for line in view.body] == expected
