"""Samples of another system: each kind of file read back, each fault named in one sentence, and the same scores as a model's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import judges
from corpora import plain_blocks, write_dataset
from imdm.data.blocks import Dataset
from imdm.errors import UserError
from imdm.sampling.files import read_external
from script import made, run

COUNT = 32  # of the micro parameters


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return judges.make_dataset(tmp_path_factory.mktemp("data"))


def written(path: Path, ids: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, ids)
    elif path.suffix == ".npz":
        np.savez(path, any_name=ids)
    else:
        save_file({"any name": ids}, path)
    return path


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.safetensors"])
def test_token_ids_come_back(name, dataset, tmp_path):
    ids = judges.packed(COUNT + 3)
    tokens = read_external(written(tmp_path / name, ids.astype(np.int64)), Dataset.open(dataset), COUNT)
    assert tokens.dtype == np.int32 and np.array_equal(tokens, ids[:COUNT])


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_text_is_packed_as_the_corpus_is(name, dataset, tmp_path):
    texts = [f"{text} {number} <|endoftext|>" for number, text in enumerate(judges.TEXT * 8)]  # which is text in a document
    lines = texts if name == "a.txt" else [json.dumps({"sample_id": n, "text": text}) for n, text in enumerate(texts)]
    (tmp_path / name).write_text("\n".join(lines) + "\n")
    tokenizer = judges.tokenizer()
    tokenizer = type(tokenizer).from_str(tokenizer.to_str())
    tokenizer.encode_special_tokens = True
    expected = plain_blocks([[*tokenizer.encode(text).ids, 0] for text in texts], judges.LENGTH, 0, len(texts))
    assert read_external(tmp_path / name, Dataset.open(dataset), COUNT).tolist() == expected[:COUNT]


IDS = judges.packed(COUNT)


@pytest.mark.parametrize(
    ("name", "ids", "words"),
    [
        ("a.npy", IDS[:9], "has 9 samples of 12 tokens; give 32, or set sampling.count"),
        ("a.npy", IDS[:, :11], "has samples of 11 tokens, but .*dataset.json has blocks of 12, BOS and EOS in it"),
        ("a.npz", IDS + 300, "has the token id 5.., but .*dataset.json knows 0 to 299; use the corpus's tokenizer"),
        ("a.safetensors", IDS - 1, "has the token id -1, but"),
        ("a.npy", np.where(IDS == 0, 299, IDS), r"has the mask \(id 299\) in it"),
        ("a.npy", IDS / 2, "holds float64 of shape"),
        ("a.npy", IDS.ravel(), r"holds int64 of shape \(384,\), not token ids \[samples, 12\]"),
        ("a.npy", np.array([{}], object), "is truncated or no array of numpy .*; write it again"),
    ],
)
def test_wrong_ids_are_named(name, ids, words, dataset, tmp_path):
    with pytest.raises(UserError, match=words):
        read_external(written(tmp_path / name, ids), Dataset.open(dataset), COUNT)


def test_wrong_files_are_named(dataset, tmp_path):
    data = Dataset.open(dataset)
    (tmp_path / "cut.npy").write_bytes(written(tmp_path / "whole.npy", IDS).read_bytes()[:-40])
    (tmp_path / "cut.npz").write_bytes(written(tmp_path / "whole.npz", IDS).read_bytes()[:300])
    (tmp_path / "cut.safetensors").write_bytes(b"\0" * 30)
    np.savez(tmp_path / "two.npz", a=IDS, b=IDS)
    (tmp_path / "latin.txt").write_bytes("naïve".encode("latin1"))
    (tmp_path / "few.txt").write_text("the list\n")
    (tmp_path / "no.jsonl").write_text('{"words": "the list"}\n')
    faults = {
        "cut.npy": "truncated or no array",
        "cut.npz": "truncated or no array",
        "cut.safetensors": "truncated or no file of tensors",
        "two.npz": r"has 2 arrays \(a, b\)",
        "a.pkl": "is none of .npy, .npz,",
        "missing.npy": "does not exist",
        "latin.txt": "is not UTF-8",
        "few.txt": "has 0 samples",
        "no.jsonl": "text",
    }
    for name, words in faults.items():
        with pytest.raises(UserError, match=words):
            read_external(tmp_path / name, data, COUNT)


def test_they_are_scored_as_a_models(dataset, tmp_path):
    """By the same stages, but for what is not known of them."""
    judge = judges.make_judge(tmp_path / "judge")
    reference = made("reference", tmp_path / "reference", "--data", dataset, "--judge", judge) / "reference.json"
    file = written(tmp_path / "a.npy", judges.packed(COUNT, 5))
    taken = made("external", tmp_path / "samples", "--data", dataset, "--samples", file, "--name", "theirs", "--steps", 7)
    scored = ("--judge", judge, "--reference", reference, "--samples", taken / "samples.safetensors")
    scores = json.loads((made("score", tmp_path / "scores", "--data", dataset, *scored) / "scores.json").read_text())
    assert (scores["model"], scores["temperature"], scores["precision"]) == ("external/theirs", {}, "")
    found = {row["metric"]: row for row in scores["rows"]}
    assert {"gen_ppl", "entropy", "mauve", "energy", "jsd_3"} <= set(found) and "calls" not in found
    assert all(row["steps"] == 7 and row["low"] <= row["value"] + 1e-9 and row["value"] <= row["high"] + 1e-9 for row in scores["rows"])


def test_an_empty_file_and_a_foreign_corpus_end_with_one_sentence(dataset, tmp_path):
    (tmp_path / "empty.npy").write_bytes(b"")
    written(tmp_path / "a.npy", IDS)
    other = write_dataset(tmp_path / "other", judges.tokenizer(), {"train": judges.packed(5)[:, :10]})
    for data, name in ((dataset, "empty.npy"), (other.path, "a.npy")):
        done = run("external", "--data", data, "--samples", tmp_path / name, "--name", "a", "--steps", 1, "--out", tmp_path / "out")
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and not (tmp_path / "out").exists(), done.stderr
