"""One judge.json stands for a judge: trained here, or any causal LM of transformers, also of a GGUF file."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

import judges
from imdm.data.blocks import Dataset
from imdm.data.tokenizer import train_bpe
from imdm.errors import UserError
from imdm.scoring import judge as module
from imdm.scoring.judge import load_judge, open_judge
from imdm.stage.artifact import sha256, write_json
from script import made, run

Tensors = dict[str, np.ndarray]
INSTALLED = all(importlib.util.find_spec(name) for name in ("gguf", "accelerate"))
needs_gguf = pytest.mark.skipif(not INSTALLED, reason="gguf and accelerate are not installed (the extra gguf)")
WIDTH, HEADS, LONGEST = 32, 4, 64
WEIGHTS, PART = "model.safetensors", "transformer.h.1.mlp.c_fc.weight"


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


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def weights(change: Callable[[Tensors], Tensors]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS, metadata={"format": "pt"})

    return write


def config(**changes: object) -> Callable[[Path], None]:
    return lambda folder: write_json(folder / "config.json", json.loads((folder / "config.json").read_text()) | changes)


def truncated(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100])


def edited(folder: Path) -> None:
    about = {"stage": "train_judge", "outputs": {"config.json": "0" * 64}, "git": None, "seconds": 1.0, "resumed": False}
    write_json(folder / "meta.json", about | {key: {} for key in ("inputs", "parameters", "metrics", "peak_memory_mib")})


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (truncated, "can't be loaded"),
        (weights(lambda _: {"online.embedding": np.zeros((4, 4), np.float32)}), "lack "),
        (weights(lambda tensors: {name: value for name, value in tensors.items() if name != PART}), f"lack {PART}"),
        (weights(lambda tensors: {name: value * np.nan for name, value in tensors.items()}), "no finite numbers"),
        (config(n_layer=1_000_000), "1000000 layers"),
        (config(n_layer=-1), "-1 layers"),
        (config(eos_token_id=None), "no end-of-text token"),
        (lambda folder: train_bpe(judges.TEXT * 4, 320).save(str(folder / "tokenizer.json")), "no tokenizer or another model's"),
        (edited, r"config.json is damaged .* run stage train_judge again"),
        (lambda folder: (folder / "judge.json").write_text("{}"), "is not a judge.json"),
        *((without(name), f"{name} does not exist") for name in ("judge.json", "config.json", "tokenizer.json", WEIGHTS)),
    ],
)
def test_a_broken_judge_is_refused(judge_json, tmp_path, break_it, message):
    shutil.copytree(judge_json.parent, tmp_path / "judge")
    break_it(tmp_path / "judge")
    with pytest.raises(UserError, match=message):
        load_judge(tmp_path / "judge" / "judge.json")


@pytest.mark.parametrize("kernel", ["kernels-community/flash-attn", "flash_attention_2", "sonicmoe"])
@pytest.mark.parametrize("key", ["_attn_implementation", "attn_implementation", "_experts_implementation", "experts_implementation"])
def test_no_kernel_is_fetched_that_a_config_names(judge_json, tmp_path, key, kernel):
    shutil.copytree(judge_json.parent, tmp_path / "judge")
    config(**{key: kernel})(tmp_path / "judge")
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


# GGUF


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


@pytest.mark.parametrize(
    ("installed", "part", "words"), [(None, "a.gguf", "a GGUF file needs gguf and accelerate; install them"), (True, "", "can't be loaded")]
)
def test_missing_packages_and_what_is_no_gguf_file_are_named(installed, part, words, tmp_path, monkeypatch):
    (tmp_path / "a.gguf").write_bytes(b"GGUF, but nothing of the kind")
    monkeypatch.setattr(module, "find_spec", lambda name: installed)
    with pytest.raises(UserError, match=words):
        open_judge(str(tmp_path / part), "cpu")
