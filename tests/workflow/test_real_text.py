"""The whole workflow on real text with the public vocabularies, at micro size: the corpora's own code path, conditional and MAUVE."""

import json

import pandas as pd
import pytest

from imdm.data.blocks import Dataset
from real_text import build, lm1b, webtext

pytestmark = pytest.mark.slow
MICRO = {"corpus": {"seq_len": 24}}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("webtext")
    return build(folder / "run", webtext(folder, MICRO), "all", "paper")


@pytest.fixture(scope="module")
def sentences(pages, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lm1b")
    return build(folder / "run", lm1b(folder, pages / "judge", MICRO, held_out=600), "all", "paper")


def complete(results, data: str, vocab_size: int, mask_id: int):
    dataset = Dataset.open(results.parents[1] / "data" / data / "dataset.json")
    assert (dataset.vocab_size, dataset.mask_id) == (vocab_size, mask_id)
    assert dataset.splits["valid"]["blocks"] > 100
    table = pd.read_csv(results / "tables/table07.csv")
    assert {"gen_ppl", "entropy", "mauve"} <= set(table["metric"])
    assert table["paper"].notna().any()
    scores = json.loads((results / "conditional/scores/imdm/sdtt1-redi/scores.json").read_text())
    assert scores["task"] == "conditional" and len(pd.read_parquet(results / "conditional/scores/imdm/sdtt1-redi/per_sample.parquet"))
    assert "<html" in (results / "paper.html").read_text() and (results / "figures/figure04.html").exists()


def test_webtext_with_the_vocabulary_of_gpt2(pages):
    complete(pages, "openwebtext-per_batch-24", 50258, 50257)
    assert "mdlm" not in set(pd.read_csv(pages / "tables/tables.csv")["model"].str.partition("/")[0])


def test_lm1b_with_the_vocabulary_of_bert_and_a_judge_of_another(sentences):
    complete(sentences, "lm1b-per_batch-24", 30522, 103)
    assert json.loads((sentences / "judge/judge.json").read_text())["source"]
