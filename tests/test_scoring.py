"""Scoring, against independent oracles: transformers' own loss, scipy, and mauve-text called directly."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from checkout import ROOT
from imdm.data.blocks import Dataset
from imdm.data.bpe import train_bpe
from imdm.errors import UserError
from imdm.job import run_stage
from imdm.params import Judge as Settings
from imdm.params import Scoring
from imdm.scoring.bootstrap import mean_interval, ratio_interval
from imdm.scoring.diversity import distinct, entropy, repetition
from imdm.scoring.gen_ppl import counted, gen_ppl, gen_ppl_mean, judge_ids, judge_texts
from imdm.scoring.judge import build_judge, load_judge
from imdm.scoring.mauve import mauve
from imdm.scoring.rows import score_rows

SETTINGS = Settings(steps=1, batch_size=8, hidden_size=16, blocks=2, heads=2)
TEXT = ["the list of names is empty and the value of the expression is returned", "see also the module that reads a file line by line"]
LENGTH = 12


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe(TEXT * 4, 300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tokenizer) -> Path:
    """A judge with random weights, large enough to make its predictions differ, laid out as train_judge does."""
    torch.manual_seed(0)
    model = build_judge(SETTINGS, tokenizer.get_vocab_size(), LENGTH, 0)
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    folder = tmp_path_factory.mktemp("judge")
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "judge.json").write_text(json.dumps({"held_out_perplexity": 42.5}))
    return folder


@pytest.fixture(scope="module")
def judge(folder: Path):
    return load_judge(str(folder / "model.safetensors"))


def packed(tokenizer, count: int, seed: int = 0) -> np.ndarray:
    """Samples [count, LENGTH]: BOS, pieces of TEXT cut anywhere, EOS."""
    stream = tokenizer.encode(" ".join(TEXT * 30)).ids
    starts = np.random.default_rng(seed).integers(len(stream) - LENGTH, size=count)
    return np.array([[0, *stream[s : s + LENGTH - 2], 0] for s in starts])


# The judge


def test_a_judge_has_no_dropout_and_transformers_loads_it(folder, judge):
    from transformers import AutoModelForCausalLM

    again = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = torch.arange(10)[None]
    with torch.inference_mode():
        assert torch.equal(again(ids).logits, judge.model(ids).logits)
        assert torch.equal(judge.model.train()(ids).logits, judge.model.eval()(ids).logits)
    assert judge.precision == "float32" and judge.end_id == 0


def break_it(folder: Path, how: str) -> None:
    weights = folder / "model.safetensors"
    if how == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "foreign":
        save_file({"online.embedding": np.zeros((4, 4), np.float32)}, weights, metadata={"format": "pt"})
    elif how == "partial":
        tensors = load_file(weights)
        tensors.pop("transformer.h.1.mlp.c_fc.weight")
        save_file(tensors, weights, metadata={"format": "pt"})
    elif how == "tokenizer":
        train_bpe(TEXT * 4, 320).save(str(folder / "tokenizer.json"))
    else:
        (folder / how).unlink()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("truncated", "can't be loaded"),
        ("foreign", "lack "),
        ("partial", "lack transformer.h.1.mlp.c_fc.weight"),
        ("tokenizer", "no tokenizer or another model's"),
        ("config.json", "can't be loaded"),
        ("tokenizer.json", "no tokenizer or another model's"),
        ("model.safetensors", "can't be loaded"),
    ],
)
def test_a_broken_judge_is_refused(folder, tmp_path, how, message, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    shutil.copytree(folder, tmp_path / "judge")
    break_it(tmp_path / "judge", how)
    with pytest.raises(UserError, match=message):
        load_judge(str(tmp_path / "judge" / "model.safetensors"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, tokenizer) -> Path:
    """dataset.json of packed TEXT."""
    return make_dataset(tmp_path_factory.mktemp("data"), tokenizer)


def make_dataset(folder: Path, tokenizer) -> Path:
    tokenizer.save(str(folder / "tokenizer.json"))
    splits = {}
    for seed, name in enumerate(("train", "judge", "valid", "test")):
        blocks = packed(tokenizer, 40, seed).astype("<u2")
        blocks.tofile(folder / f"{name}.bin")
        splits[name] = {"blocks": 40, "tokens": 400, "tail": 0, "documents": 4, "sha256": hashlib.sha256(blocks.tobytes()).hexdigest()}
    size = tokenizer.get_vocab_size()
    about = {"corpus": "files", "seq_len": LENGTH, "vocab_size": size, "mask_id": size - 1, "bos_id": 0, "eos_id": 0, "splits": splits}
    digest = hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()
    (folder / "dataset.json").write_text(json.dumps(about | {"tokenizer_sha256": digest, "statistics": {}}))
    return folder / "dataset.json"


def test_a_judge_of_another_vocabulary_is_refused(folder, judge, dataset, tmp_path):
    other = Dataset.open(make_dataset(tmp_path, train_bpe(TEXT[:1] * 4, 280)))
    judge.check_vocabulary(Dataset.open(dataset), False)
    with pytest.raises(UserError, match="train_judge on this dataset"):
        judge.check_vocabulary(other, True)
    shutil.copytree(folder, tmp_path / "public")
    (tmp_path / "public" / "judge.json").unlink()
    public = load_judge(str(tmp_path / "public"))
    public.check_vocabulary(other, True)
    with pytest.raises(UserError, match="set scoring.retokenize to true"):
        public.check_vocabulary(other, False)


# Gen-PPL


def test_nll_is_transformers_own_loss(judge):
    rows = np.random.default_rng(0).integers(1, 290, (6, LENGTH))
    judged = judge_texts(judge, rows.tolist(), 4)
    for row, nll, tokens in zip(rows, judged.nll, judged.tokens, strict=True):
        ids = torch.from_numpy(row)[None]
        with torch.inference_mode():
            loss = judge.model(ids, labels=ids).loss.item()
        assert tokens == LENGTH - 1
        assert nll == pytest.approx(loss * tokens, rel=1e-5)
    with torch.inference_mode():
        ids = torch.from_numpy(rows)
        assert math.log(gen_ppl(judged.nll, judged.tokens)) == pytest.approx(judge.model(ids, labels=ids).loss.item(), rel=1e-5)


def test_uncounted_targets_are_those_that_labels_mask(judge):
    ids = torch.tensor([[0, 5, 6, 0, 7, 8, 0]])
    labels = ids.masked_fill(ids == 0, -100)
    with torch.inference_mode():
        loss = judge.model(ids, labels=labels).loss.item()
    judged = judge_texts(judge, ids.tolist(), 1)
    assert judged.tokens.tolist() == [4]
    assert judged.nll[0] == pytest.approx(4 * loss, rel=1e-5)


@pytest.mark.parametrize(
    ("row", "targets"),
    [
        ([0, 5, 6, 7, 0], [1, 1, 1, 0]),  # packed: BOS at position 0 is the first end-of-text, so no other counts
        ([0, 5, 0, 7, 0], [1, 0, 1, 0]),  # ... and text after an inner one counts
        ([5, 6, 0, 7, 0], [1, 1, 1, 0]),  # no BOS: the first end-of-text counts, the second doesn't
        ([5, 6, 7], [1, 1, 0, 0]),  # padding doesn't count, though it is end-of-text
        ([0, 0, 0, 0, 0], [0, 0, 0, 0]),
        ([5], [0, 0, 0, 0]),
    ],
)
def test_counting_rule(row, targets):
    ids = torch.tensor([row + [0] * (5 - len(row))])
    assert counted(ids, torch.tensor([len(row)]), 0).int().tolist() == [targets]


def test_batches_of_any_size_and_order_give_the_same(judge):
    draw = np.random.default_rng(1)
    rows = [draw.integers(0, 290, draw.integers(1, LENGTH + 1)).tolist() for _ in range(23)]
    alone = [judge_texts(judge, [row], 1) for row in rows]
    for size in (4, 64):
        together = judge_texts(judge, rows, size)
        np.testing.assert_allclose(together.nll, [one.nll[0] for one in alone], rtol=1e-5, atol=1e-5)
        assert together.tokens.tolist() == [one.tokens[0] for one in alone]
        np.testing.assert_allclose(together.features, np.concatenate([one.features for one in alone]), rtol=1e-4, atol=1e-5)


def test_features_are_the_last_hidden_state_at_the_last_token(judge):
    rows = [[0, 5, 6, 7], [0, 9]]
    found = judge_texts(judge, rows, 8).features
    for row, feature in zip(rows, found, strict=True):
        with torch.inference_mode():
            states = judge.model(torch.tensor([row]), output_hidden_states=True).hidden_states[-1]
        np.testing.assert_allclose(feature, states[0, -1].numpy(), rtol=1e-4, atol=1e-5)


def test_corpus_level_and_mean_over_samples():
    nll, tokens = np.array([2.0, 9.0, 0.0]), np.array([2, 3, 0])
    assert gen_ppl(nll, tokens) == pytest.approx(math.exp(11 / 5))
    assert gen_ppl_mean(nll, tokens) == pytest.approx(math.exp((1 + 3) / 2))  # a sample without counted tokens has no mean


def test_retokenizing_keeps_the_text_and_its_special_tokens(judge, tokenizer):
    samples = np.array([[0, *tokenizer.encode("the list").ids, 0, *tokenizer.encode(" of names").ids, 0]])
    (ids,) = judge_ids(samples, tokenizer, judge, True)
    assert ids == samples[0].tolist()
    bytewise = np.array([[0, *(tokenizer.token_to_id(letter) for letter in "thelist"), 0]])
    (ids,) = judge_ids(bytewise, tokenizer, judge, True)
    assert ids == [0, *tokenizer.encode("thelist").ids, 0] and len(ids) < bytewise.shape[1]
    assert judge_ids(bytewise, tokenizer, judge, False) == bytewise.tolist()


def test_rows_are_cut_to_what_the_judge_reads(judge, tokenizer):
    samples = np.array([[tokenizer.token_to_id(letter) for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]])
    for retokenize in (True, False):
        (ids,) = judge_ids(samples, tokenizer, judge, retokenize)
        assert len(ids) == judge.max_length < samples.shape[1]


# Entropy and diversity


def test_entropy_is_scipys():
    stats = pytest.importorskip("scipy.stats")
    rows = np.random.default_rng(0).integers(0, 9, (20, 30))
    expected = [stats.entropy(np.unique(row, return_counts=True)[1]) for row in rows]
    np.testing.assert_allclose(entropy(rows), expected, rtol=1e-12)
    assert entropy(np.full((1, 8), 3)) == pytest.approx([0.0], abs=1e-15)
    assert entropy(np.arange(32)[None]) == pytest.approx([math.log(32)])


def test_diversity_by_hand():
    rows = np.array([[1, 2, 1, 2, 1], [3, 4, 5, 6, 7]])  # bigrams 12 21 12 21 | 34 45 56 67
    assert distinct(rows, 2) == 6 / 8
    assert repetition(rows, 2).tolist() == [0.5, 0.0]


# Intervals


def test_intervals_are_scipys():
    stats = pytest.importorskip("scipy.stats")
    draw = np.random.default_rng(0)
    nll, tokens = draw.gamma(20, 5, 200), draw.integers(20, 31, 200).astype(float)

    def statistic(nll, tokens, axis=-1):
        return np.exp(nll.sum(axis) / tokens.sum(axis))

    expected = stats.bootstrap((nll, tokens), statistic, paired=True, vectorized=True, n_resamples=4000, method="percentile", rng=1)
    np.testing.assert_allclose(ratio_interval(nll, tokens, 4000, 0), expected.confidence_interval, rtol=0.01)
    expected = stats.bootstrap((nll,), np.mean, vectorized=True, n_resamples=4000, method="percentile", rng=1)
    np.testing.assert_allclose(mean_interval(nll, 4000, 0), expected.confidence_interval, rtol=0.005)


def test_an_interval_covers_the_truth_as_often_as_it_says():
    draw, covered = np.random.default_rng(0), 0
    for trial in range(300):
        low, high = mean_interval(draw.exponential(1.0, 100), 300, trial)
        covered += low <= 1.0 <= high
    assert 0.89 < covered / 300 < 0.98


def test_equal_seeds_give_equal_intervals():
    values = np.random.default_rng(0).normal(size=50)
    assert mean_interval(values, 100, 3) == mean_interval(values, 100, 3) != mean_interval(values, 100, 4)


# MAUVE


def test_mauve_is_the_librarys_mean_over_seeds(capfd):
    from mauve import compute_mauve

    draw = np.random.default_rng(0)
    reference, samples = (draw.normal(shift, 1, (200, 8)).astype(np.float32) for shift in (0, 0.5))
    mean, sd = mauve(reference, samples, 3, 5.0)
    assert capfd.readouterr().err == ""  # faiss's warning, which the library's own bucket rule provokes
    alone = [compute_mauve(p_features=reference, q_features=samples, seed=seed, mauve_scaling_factor=5.0).mauve for seed in (1, 2, 3)]
    assert mean == pytest.approx(np.mean(alone)) and sd == pytest.approx(np.std(alone, ddof=1))
    assert 0 < mean < 0.99 < mauve(reference, reference, 1, 5.0)[0]


# All figures of a model


def test_every_figure_lies_in_its_interval(judge, tokenizer):
    samples, text = packed(tokenizer, 40), packed(tokenizer, 50, seed=1)
    judged, reference = (judge_texts(judge, rows.tolist(), 16) for rows in (samples, text))
    settings = Scoring(bootstrap=50, mauve_seeds=2)
    rows, columns = score_rows(samples, np.full(40, 4), judged, reference.features, settings, 0)
    assert {"gen_ppl", "gen_ppl_mean", "entropy", "mauve", "distinct_4"} <= {row["metric"] for row in rows}
    for row in rows:
        assert row["low"] - 1e-12 <= row["value"] <= row["high"] + 1e-12 and math.isfinite(row["value"])
    ppl = next(row["value"] for row in rows if row["metric"] == "gen_ppl")
    assert ppl == pytest.approx(math.exp(columns["nll"].sum() / columns["tokens"].sum()))
    assert all(len(column) == 40 for column in columns.values())


# The stage


def score(folder: Path, dataset: Path, out: Path, samples: dict[int, np.ndarray], *sets: str) -> int:
    import score as stage

    tensors = {}
    for steps, tokens in samples.items():
        tensors[f"{steps}.tokens"] = tensors[f"{steps}.unmasked_at"] = tokens.astype(np.int32)
        tensors[f"{steps}.calls"] = np.full(len(tokens), steps, np.int32)
    digest = json.loads(dataset.read_text())["tokenizer_sha256"]
    about = {"model": "imdm/redi", "steps": list(samples), "temperature": 1.0, "precision": "float32", "tokenizer_sha256": digest}
    out.parent.mkdir(exist_ok=True)
    save_file(tensors, out.parent / "samples.safetensors", metadata={"imdm": json.dumps(about)})
    argv = ["--params", str(ROOT / "tests/micro.yaml"), "--data", str(dataset), "--judge", str(folder / "model.safetensors")]
    argv += ["--samples", str(out.parent / "samples.safetensors"), "--out", str(out)]
    argv += [part for value in sets for part in ("--set", value)]
    return run_stage(stage.__file__, stage.__doc__, stage.arguments, stage.run, argv)


def test_the_stage_writes_scores(folder, dataset, tokenizer, tmp_path, monkeypatch):
    import pandas as pd

    monkeypatch.syspath_prepend(str(ROOT / "stages"))
    samples = {1: np.random.default_rng(0).integers(0, 250, (32, LENGTH)), 4: packed(tokenizer, 32, 9)}
    assert score(folder, dataset, tmp_path / "out" / "scores", samples, "scoring.retokenize=false") == 0
    scores = json.loads((tmp_path / "out" / "scores" / "scores.json").read_text())
    assert scores["model"] == "imdm/redi" and scores["judge"]["held_out_perplexity"] == 42.5
    table = pd.read_parquet(tmp_path / "out" / "scores" / "per_sample.parquet")
    for steps in samples:
        part = table[table["steps"] == steps]
        found = {row["metric"]: row["value"] for row in scores["rows"] if row["steps"] == steps}
        assert found["gen_ppl"] == pytest.approx(math.exp(part["nll"].sum() / part["tokens"].sum()))
        assert found["entropy"] == pytest.approx(part["entropy"].mean())
    assert score(folder, dataset, tmp_path / "public" / "scores", samples, f"scoring.judge={copy_public(folder, tmp_path)}") == 0
    public = json.loads((tmp_path / "public" / "scores" / "scores.json").read_text())
    assert public["judge"]["held_out_perplexity"] not in (42.5, None)


def copy_public(folder: Path, to: Path) -> Path:
    """The judge as a public model has it: without judge.json."""
    shutil.copytree(folder, to / "model", ignore=shutil.ignore_patterns("judge.json"))
    return to / "model"
