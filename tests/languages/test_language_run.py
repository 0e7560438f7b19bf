"""The stages of text on a language: packed texts, the exact judge, the oracle, and what is made of its samples."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from imdm.data.blocks import Dataset
from imdm.languages import open_language
from imdm.params import LanguageSettings
from imdm.scoring.exact import ExactJudge
from imdm.scoring.judge import load_judge
from script import made, run

CORPUS = '{"name": "language", "language": "chain", "states": 4, "length": 4, "entropy_rate": 0.7, "packing": "document", "seq_len": 7}'
SETS = [f"corpus={CORPUS}", "sampling.steps=[1,16]", "sampling.count=400", "sampling.batch_size=400", "frontier.count=64", "audit.n=[2,3]"]
SETS += ["conditional={prompts: 16, completions: 4, prompt_tokens: 3, scored_tokens: 6}", "factorization.sequences=300"]
SETS += ["factorization.batch_size=300", "factorization.steps=[1,2]", "corpus.texts=2000", "scoring.bootstrap=50"]
SETS += ["frontier.temperatures=[1.0]"]
LANGUAGE = open_language(LanguageSettings(language="chain", states=4, length=4, entropy_rate=0.7), 7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("language")
    data, judge, model = folder / "data/dataset.json", folder / "judge/judge.json", folder / "models/oracle/model.safetensors"
    made("tokenize_pack", folder / "data", sets=SETS)
    made("exact_judge", folder / "judge", "--data", data, sets=SETS)
    made("oracle", folder / "models/oracle", "--data", data, sets=SETS)
    made("reference", folder / "reference", "--data", data, "--judge", judge, sets=SETS)
    made("sample", folder / "samples", "--model", model, sets=SETS)
    made("complete", folder / "completions", "--data", data, "--model", model, sets=SETS)
    for kind in ("samples", "completions"):
        files = ("--data", data, "--judge", judge, "--reference", folder / "reference/reference.json")
        made("score", folder / f"scores-{kind}", *files, "--samples", folder / kind / "samples.safetensors", sets=SETS)
    made("frontier", folder / "frontier", "--data", data, "--judge", judge, "--model", model, sets=SETS)
    made("factorization", folder / "factorization", "--data", data, "--model", model, "--teacher", model, sets=SETS)
    samples = folder / "samples/samples.safetensors"
    made("audit", folder / "audit", "--data", data, "--model", model, "--samples", samples, "--baseline", samples, sets=SETS)
    return folder


def test_blocks_are_texts_of_the_language_in_every_split(folder):
    data = Dataset.open(folder / "data/dataset.json")
    assert data.vocab_size == LANGUAGE.vocab_size and data.mask_id == LANGUAGE.vocab_size - 1 and data.eos_id == LANGUAGE.end
    counts = [len(data.split(name)) for name in ("train", "judge", "valid", "test")]
    assert sum(counts) == 2000 == sum(split["documents"] for split in data.splits.values())
    texts = [set(map(tuple, data.split(name).tolist())) for name in ("train", "test")]
    assert LANGUAGE.contains(data.split("train")).all() and texts[0] & texts[1]  # equal texts are in several splits


def test_the_judge_is_the_language(folder):
    judge = load_judge(folder / "judge/judge.json")
    assert isinstance(judge, ExactJudge) and judge.held_out_perplexity == pytest.approx(np.exp(LANGUAGE.entropy / 4))
    real = json.loads((folder / "reference/reference.json").read_text())["unconditional"]
    assert real["validity_pct"]["value"] == 100 and real["nll_valid_nats"]["value"] == pytest.approx(LANGUAGE.entropy / 4, rel=0.2)
    assert real["gen_ppl"]["value"] == pytest.approx(np.exp(real["nll_valid_nats"]["value"]), rel=0.02)


def test_the_oracle_is_as_good_as_the_data_where_steps_write_one_token(folder):
    scores = json.loads((folder / "scores-samples/scores.json").read_text())["metrics"]
    real = json.loads((folder / "reference/reference.json").read_text())["unconditional"]
    assert "mauve" not in scores and scores["validity_pct"] == {"1": 100, "16": 100}
    assert scores["bigram_kl_nats"]["16"] < 0.4 * scores["bigram_kl_nats"]["1"]
    assert scores["gen_ppl"]["16"] < scores["gen_ppl"]["1"] and scores["gen_ppl"]["16"] == pytest.approx(real["gen_ppl"]["value"], rel=0.25)
    completed = json.loads((folder / "scores-completions/scores.json").read_text())["metrics"]
    assert completed["validity_pct"]["1"] == 100 and "coverage_pct" not in completed


def test_the_estimate_on_text_is_the_exact_total_correlation(folder):
    exact = {row["steps"]: row for row in json.loads((folder / "judge/judge.json").read_text())["rows"][:2]}
    rows = json.loads((folder / "factorization/factorization.json").read_text())["rows"]
    for row in (row for row in rows if row["metric"] == "error_m2_nats_per_sequence"):
        assert abs(row["value"] - exact[row["steps"]]["value"]) < 1.5 * (row["high"] - row["low"])


def test_a_language_judges_nothing_else(folder, tmp_path):
    other = [value.replace('"states": 4', '"states": 5') for value in SETS]
    for stage, sets, said in (
        ("exact_judge", (), "corpus.name is not language"),
        ("exact_judge", other, "other words"),
        ("oracle", (), "an oracle is of a language"),
    ):
        ended = run(stage, "--data", folder / "data/dataset.json", "--out", tmp_path / "out", sets=sets)
        assert ended.returncode == 2 and said in ended.stderr
