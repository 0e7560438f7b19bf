"""One judge.json stands for a judge: trained here, or any causal LM of transformers."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

import judges
from imdm.data.blocks import Dataset
from imdm.data.tokenizer import train_bpe
from imdm.errors import UserError
from imdm.scoring.judge import load_judge, open_judge
from imdm.stage.artifact import sha256, write_json
from script import made, run


@pytest.fixture(scope="module")
def judge_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return judges.make_judge(tmp_path_factory.mktemp("judge"))


def test_a_judge_has_no_dropout_and_transformers_loads_it(judge_json):
    from transformers import AutoModelForCausalLM

    judge = load_judge(judge_json)
    again = AutoModelForCausalLM.from_pretrained(judge_json.parent).eval()
    ids = torch.arange(10)[None]
    with torch.inference_mode():
        assert torch.equal(again(ids).logits, judge.model(ids).logits)
        assert torch.equal(judge.model.train()(ids).logits, judge.model.eval()(ids).logits)
    assert (judge.precision, judge.end_id, judge.max_length, judge.held_out_perplexity) == ("float32", 0, 24, judges.HELD_OUT)
    assert judge.trained and judge.name == "trained judge"
    assert judge.describe()["parameters"] == sum(value.numel() for value in again.parameters())


def test_weights_and_activations_have_the_precision_asked_for(judge_json):
    judge = load_judge(judge_json, "cpu", "bfloat16")
    assert {value.dtype for value in judge.model.parameters()} == {torch.bfloat16}
    assert judge.model(torch.arange(4)[None]).logits.dtype == torch.bfloat16
    assert judge.describe()["precision"] == "bfloat16"


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
    elif how == "nan":
        save_file({name: value * np.nan for name, value in load_file(weights).items()}, weights, metadata={"format": "pt"})
    elif how in ("layers", "no layers"):
        config = json.loads((folder / "config.json").read_text())
        write_json(folder / "config.json", config | {"n_layer": 1_000_000 if how == "layers" else -1})
    elif how == "tokenizer":
        train_bpe(judges.TEXT * 4, 320).save(str(folder / "tokenizer.json"))
    elif how == "endless":
        config = json.loads((folder / "config.json").read_text())
        write_json(folder / "config.json", config | {"eos_token_id": None})
    elif how == "edited":
        about = {"stage": "train_judge", "outputs": {"config.json": "0" * 64}, "git": None, "seconds": 1.0, "resumed": False}
        write_json(folder / "meta.json", about | {key: {} for key in ("inputs", "parameters", "metrics", "peak_memory_mib")})
    elif how == "other":
        (folder / "judge.json").write_text("{}")
    else:
        (folder / how).unlink()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("truncated", "can't be loaded"),
        ("foreign", "lack "),
        ("partial", "lack transformer.h.1.mlp.c_fc.weight"),
        ("nan", "no finite numbers"),
        ("layers", "1000000 layers"),
        ("no layers", "-1 layers"),
        ("tokenizer", "no tokenizer or another model's"),
        ("endless", "no end-of-text token"),
        ("edited", r"config.json is damaged .* run stage train_judge again"),
        ("other", "is not a judge.json"),
        ("judge.json", "judge.json does not exist"),
        ("config.json", "config.json does not exist"),
        ("tokenizer.json", "tokenizer.json does not exist"),
        ("model.safetensors", "model.safetensors does not exist"),
    ],
)
def test_a_broken_judge_is_refused(judge_json, tmp_path, how, message):
    shutil.copytree(judge_json.parent, tmp_path / "judge")
    break_it(tmp_path / "judge", how)
    with pytest.raises(UserError, match=message):
        load_judge(tmp_path / "judge" / "judge.json")


@pytest.mark.parametrize("kernel", ["kernels-community/flash-attn", "flash_attention_2", "sonicmoe"])
@pytest.mark.parametrize("key", ["_attn_implementation", "attn_implementation", "_experts_implementation", "experts_implementation"])
def test_no_kernel_is_fetched_that_a_config_names(judge_json, tmp_path, key, kernel):
    shutil.copytree(judge_json.parent, tmp_path / "judge")
    (tmp_path / "judge/meta.json").unlink(missing_ok=True)
    config = json.loads((tmp_path / "judge/config.json").read_text())
    write_json(tmp_path / "judge/config.json", config | {key: kernel})
    assert load_judge(tmp_path / "judge/judge.json").model.config._attn_implementation == "sdpa"


def test_a_model_that_is_nowhere_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=r"can't be loaded .* set judge.model"):
        open_judge(str(tmp_path / "absent"), "cpu")


def test_a_model_of_the_hub_is_kept_at_its_commit(tmp_path, monkeypatch):
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    first, second = "a" * 40, "b" * 40
    repository = tmp_path / "models--org--small"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(first)
    for commit in (first, second):
        judges.make_judge(repository / "snapshots" / commit)
    judge = open_judge("org/small", "cpu")
    assert (judge.name, judge.revision, judge.describe()["source"]) == ("org/small", first, "org/small")
    (repository / "refs" / "main").write_text(second)
    write_json(tmp_path / "judge.json", judge.describe() | {"held_out_perplexity": 9.0})
    assert open_judge("org/small", "cpu").revision == second
    assert load_judge(tmp_path / "judge.json").revision == first
    at_first = open_judge(f"org/small@{first}", "cpu")
    assert (at_first.name, at_first.revision, at_first.describe()["revision"]) == ("org/small", first, first)


def test_a_judge_of_another_vocabulary_is_refused(judge_json, tmp_path):
    other = Dataset.open(judges.make_dataset(tmp_path / "other", train_bpe(judges.TEXT[:1] * 4, 280)))
    trained, public = load_judge(judge_json), open_judge(str(judge_json.parent), "cpu")
    trained.check_vocabulary(Dataset.open(judges.make_dataset(tmp_path / "own")), False)
    public.check_vocabulary(other, True)
    with pytest.raises(UserError, match="train_judge on this dataset"):
        trained.check_vocabulary(other, True)
    with pytest.raises(UserError, match="set scoring.retokenize to true"):
        public.check_vocabulary(other, False)


def test_load_judge_makes_a_folder_of_transformers_a_judge(judge_json, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(judge_json.parent, model, ignore=shutil.ignore_patterns("judge.json"))
    data = judges.make_dataset(tmp_path / "data")
    assert run("load_judge", "--data", data, "--out", tmp_path / "out").returncode == 2  # names no model
    made("load_judge", tmp_path / "out", "--data", data, sets=["judge.stage=load_judge", f"judge.model={model}"])
    about = json.loads((tmp_path / "out" / "judge.json").read_text())
    assert (about["name"], about["source"], about["revision"], about["max_length"]) == ("/".join(model.parts[-2:]), str(model), None, 24)
    assert about["low"] < about["held_out_perplexity"] < about["high"]
    with (tmp_path / "out" / "train_log.csv").open() as file:
        assert list(csv.reader(file)) == [["step", "loss", "lr", "tokens_per_second", "seconds"]]

    judge = load_judge(tmp_path / "out" / "judge.json")
    assert not judge.trained and judge.held_out_perplexity == about["held_out_perplexity"]
    valid = torch.from_numpy(Dataset.open(data).split("valid").astype(np.int64))
    with torch.inference_mode():  # transformers' own loss of the held-out blocks, all of which hold one end-of-text, the last
        loss = judge.model(valid, labels=valid.masked_fill(valid == 0, -100)).loss.item()
    assert math.log(about["held_out_perplexity"]) == pytest.approx(loss, rel=1e-4)
    assert sha256(tmp_path / "out" / "judge.json") == json.loads((tmp_path / "out" / "meta.json").read_text())["outputs"]["judge.json"]
