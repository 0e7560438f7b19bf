"""A small judge with random weights and a corpus of its vocabulary, laid out as the stages do, for the tests of scoring."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from corpora import write_dataset
from imdm.data.tokenizer import train_bpe
from imdm.params import Judge as Settings
from imdm.scoring.judge import Judge, load_judge
from imdm.stage.artifact import write_json
from imdm.training.judge import build_judge

TEXT = ["the list of names is empty and the value of the expression is returned", "see also the module that reads a file line by line"]
LENGTH = 12
HELD_OUT = 42.5


@functools.cache
def tokenizer() -> Tokenizer:
    return train_bpe(TEXT * 4, 300)


def packed(count: int, seed: int = 0, vocabulary: Tokenizer | None = None) -> np.ndarray:
    """Samples [count, LENGTH]: BOS, pieces of TEXT cut anywhere, EOS."""
    stream = (vocabulary or tokenizer()).encode(" ".join(TEXT * 30)).ids
    starts = np.random.default_rng(seed).integers(len(stream) - LENGTH, size=count)
    return np.array([[0, *stream[s : s + LENGTH - 2], 0] for s in starts])


def make_judge(folder: Path, vocabulary: Tokenizer | None = None) -> Path:
    """The folder of train_judge, with weights large enough to make predictions differ; its judge.json."""
    vocabulary = vocabulary or tokenizer()
    torch.manual_seed(0)
    settings = Settings(steps=1, batch_size=8, hidden_size=16, blocks=2, heads=2)
    model = build_judge(settings, vocabulary.get_vocab_size(), LENGTH, 0)
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    vocabulary.save(str(folder / "tokenizer.json"))
    about = {"name": "trained judge", "source": None, "revision": None, "precision": "float32", "held_out_perplexity": HELD_OUT}
    write_json(folder / "judge.json", about)
    return folder / "judge.json"


def make_dataset(folder: Path, vocabulary: Tokenizer | None = None) -> Path:
    """dataset.json of packed TEXT, 40 blocks a split."""
    splits = {name: packed(40, seed, vocabulary) for seed, name in enumerate(("train", "judge", "valid", "test"))}
    return write_dataset(folder, vocabulary or tokenizer(), splits).path


def small_judge(folder: Path, precision: str = "float32", vocabulary: Tokenizer | None = None) -> Judge:
    return load_judge(make_judge(folder, vocabulary), "cpu", precision)
