"""The exported folder in the hands of a stranger: transformers alone gives our logits and our samples."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import ModelCardData
from transformers import AutoModel, AutoModelForCausalLM, GPT2Config, PreTrainedTokenizerFast

import imdm.network
from corpora import random_corpus
from imdm.data.blocks import Dataset
from imdm.diffusion.counter import row_seeds, uniform
from imdm.diffusion.states import initial_masks
from imdm.errors import UserError
from imdm.network.checkpoint import load_network, save_network
from imdm.publish.export import CODE, export_model, without_time
from imdm.publish.public import load_public
from imdm.sampling.sampler import sample
from imdm.scoring.judge import open_judge
from imdm.stage.artifact import write_json
from networks import small_network
from script import made, run

VOCAB, MASK, LENGTH = 11, 9, 12
KINDS = {
    "single": {"mask": "single"},
    "infinite": {"mask": "infinite"},
    "gaussian": {"mask": "infinite", "noise_dist": "gaussian", "noise_scale": 0.5, "noise_dim": 7},
    "finite": {"mask": "finite", "finite_masks": 6},
    "di4c": {"mask": "single", "latent_hidden": 4},
    "keyed": {"mask": "infinite", "noise_dist": "rademacher", "noise_dim": 70, "draws": "from_noise_in_order"},
    "gumbel": {"mask": "gumbel", "noise_dim": 5, "draws": "from_noise_in_order"},
    "options": {"mask": "infinite", "learned_positions": True, "softcap": 3.5},
}
STRANGER = """
import json, sys
sys.modules["imdm"] = None  # any import of it would fail
import torch
from transformers import AutoModel, PreTrainedTokenizerFast
folder, out = sys.argv[1:]
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
z = torch.load(out + "/states.pt")
with torch.no_grad():
    torch.save(model(z).logits, out + "/logits.pt")
prompt = tokenizer("w2", add_special_tokens=False).input_ids + [4] + [tokenizer.mask_token_id] * 2 + [6]
rows = model.generate(prompt, steps=3, seed=5, count=4)
print(json.dumps({"rows": rows.tolist(), "prompt": prompt, "text": tokenizer.batch_decode(rows), "of": type(model).__module__}))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Dataset:
    return random_corpus(tmp_path_factory.mktemp("corpus"), VOCAB, MASK, LENGTH)


@pytest.fixture(autouse=True)
def modules(tmp_path_factory, monkeypatch) -> None:
    """transformers copies the code that it runs to a folder of its own."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path_factory.mktemp("modules")))


def saved(folder: Path, data: Dataset, **mask: object) -> Path:
    """A random network's checkpoint."""
    network = small_network(vocab_size=VOCAB, mask_id=MASK, seq_len=LENGTH, tokenizer_sha256=data.tokenizer_sha256, **mask)
    save_network(folder / "model.safetensors", network)
    return folder / "model.safetensors"


def exported(folder: Path, data: Dataset, kind: str) -> Path:
    """What is exported of such a network."""
    (folder / "out").mkdir()
    export_model(saved(folder, data, **KINDS[kind]), data, folder / "out")
    return folder / "out"


@torch.no_grad()
def logits_of(model: Path, z: torch.Tensor, latent: torch.Tensor | None = None) -> torch.Tensor:
    """Of our own network."""
    return load_network(model).eval()(z, torch.arange(z.numel()), latent).view(*z.shape, VOCAB)


def states(rows: int) -> torch.Tensor:
    """Half masked."""
    z = initial_masks(row_seeds(3, 0, rows), LENGTH, VOCAB)
    return torch.where(torch.rand(rows, LENGTH, generator=torch.Generator().manual_seed(0)) < 0.5, z, z % MASK)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_transformers_gives_our_logits_and_samples(kind, tmp_path, data):
    folder = exported(tmp_path, data, kind)
    theirs, report = AutoModel.from_pretrained(folder, trust_remote_code=True, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    z, latent = states(5), uniform(row_seeds(4, 0, 5)) if kind == "di4c" else None
    torch.testing.assert_close(theirs(z, latent).logits, logits_of(tmp_path / "model.safetensors", z, latent), atol=1e-5, rtol=1e-5)

    ours = load_network(tmp_path / "model.safetensors").eval()
    seeds = row_seeds(7, 0, 40)
    given = torch.tensor([3, 4, MASK, 6] + [MASK] * (LENGTH - 4))
    visible = (given != MASK).expand(40, -1), given.expand(40, -1)
    for steps, temperature in ((1, 1.0), (3, 1.0), (4, 0.6), (50, 1.0)):
        rows = theirs.generate(steps=steps, seed=7, count=40, temperature=temperature)
        assert torch.equal(rows, sample(ours, seeds, steps, temperature=temperature).tokens), steps
        for unmasking in ("independent", "dilated"):
            how = {"temperature": temperature, "unmasking": unmasking}
            filled = theirs.generate(given[:4], steps=steps, seed=7, count=40, **how)
            assert torch.equal(filled, sample(ours, seeds, steps, visible=visible, **how).tokens), (steps, unmasking)
    assert torch.equal(theirs.generate(steps=50, seed=7, count=3), rows[:3])
    assert not torch.equal(theirs.generate(steps=50, seed=8, count=40), rows)
    with pytest.raises(ValueError, match="13 tokens"):
        theirs.generate([1] * 13)
    with pytest.raises(ValueError, match="dilated"):
        theirs.generate(unmasking="even")


@pytest.mark.slow
def test_a_stranger_without_this_project(tmp_path, data):
    folder = exported(tmp_path, data, "infinite")
    torch.save(states(5), tmp_path / "states.pt")
    (tmp_path / "stranger.py").write_text(STRANGER)
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [sys.executable, tmp_path / "stranger.py", folder, tmp_path],
        env=kept | {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["of"].startswith("transformers_modules.") and said["prompt"] == [3, 4, MASK, MASK, 6]
    assert all(row[:2] == [3, 4] and row[4] == 6 and MASK not in row for row in said["rows"])
    assert all(text.startswith("w2 w3 ") and "mask" not in text for text in said["text"])
    expected = logits_of(tmp_path / "model.safetensors", states(5))
    torch.testing.assert_close(torch.load(tmp_path / "logits.pt"), expected, atol=1e-5, rtol=1e-5)


def test_saved_again_it_is_the_same(tmp_path, data):
    """What fine-tuning elsewhere would do: save_pretrained keeps the weights, and the code loads them."""
    theirs = AutoModel.from_pretrained(exported(tmp_path, data, "finite"), trust_remote_code=True)
    theirs.save_pretrained(tmp_path / "again")
    back = AutoModel.from_pretrained(tmp_path / "again", trust_remote_code=True)
    assert torch.equal(back.generate(steps=3, count=9), theirs.generate(steps=3, count=9))
    half = AutoModel.from_pretrained(tmp_path / "again", trust_remote_code=True, dtype=torch.bfloat16)
    assert half(states(5)).logits.isfinite().all() and half.generate(steps=3).shape == (1, LENGTH)


def test_the_code_imports_nothing_of_ours_nor_we_it():
    assert "imdm." not in "".join(line for line in CODE.read_text().splitlines() if line.startswith(("import", "from")))
    imported = [file for file in Path(imdm.network.__file__).parents[1].rglob("*.py") if f"import {CODE.stem}" in file.read_text()]
    assert not imported


EVIL = "import pathlib; pathlib.Path({path!r}).write_text('ran')\nclass ImdmModel: pass\nclass ImdmConfig: pass\n"


def test_a_folders_code_never_runs_unless_asked_for(tmp_path, data, monkeypatch):
    folder, trace = exported(tmp_path, data, "infinite"), tmp_path / "ran"
    for name in ("modeling_imdm.py", "setup.py", "__init__.py", "conftest.py"):
        (folder / name).write_text(EVIL.format(path=str(trace)))
    settings = json.loads((folder / "config.json").read_text())
    settings["auto_map"] |= {"AutoModelForCausalLM": "modeling_imdm.ImdmModel", "AutoTokenizer": ["modeling_imdm.ImdmModel", None]}
    (folder / "config.json").write_text(json.dumps(settings))
    monkeypatch.setattr("builtins.input", lambda _: "y")  # what transformers would ask on a terminal, were it left to it
    z = states(2)
    assert load_public(str(folder), data=data).network()(z, torch.arange(5)).shape == (5, VOCAB)
    with pytest.raises(UserError, match="can't be loaded .*custom code"):
        open_judge(str(folder), "cpu")
    (folder / "tokenizer.json").unlink()  # a kind that transformers knows, whose tokenizer would be code
    settings |= GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=VOCAB).to_dict() | {"auto_map": settings["auto_map"]}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "tokenizer_config.json").write_text(json.dumps({"auto_map": {"AutoTokenizer": ["modeling_imdm.ImdmModel", None]}}))
    with pytest.raises(UserError):
        open_judge(str(folder), "cpu")
    assert not trace.exists()
    with contextlib.suppress(Exception):  # the attack is a real one
        AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    assert trace.exists()


def test_the_stage_and_its_card(tmp_path, data):
    model = saved(tmp_path, data)
    metrics = {"gen_ppl": {"1": 1607.22, "16": 308.4, "4": 434.1}, "entropy": {"1": 3.198, "16": 3.24, "4": 3.2}, "calls": {}}
    judge = {"name": "trained judge", "precision": "float32", "held_out_perplexity": 20.957}
    about = {"task": "unconditional", "model": "imdm/redi", "precision": "float32", "temperature": {}, "conditional": None}
    scores = tmp_path / "scores.json"
    scores.write_text(json.dumps(about | {"judge": judge, "metrics": metrics, "rows": []}))
    common = ["export", tmp_path / "out", "--data", data.path, "--model", model]
    card = (made(*common, "--scores", scores, "--license", "cc-by-4.0") / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert (head["license"], head["library_name"]) == ("cc-by-4.0", "transformers")
    results = ModelCardData(**head).eval_results  # as the hub reads them
    values = {(result.metric_type, result.metric_name): result.metric_value for result in results}
    assert values["gen_ppl", "Gen-PPL, 1 step"] == 1607 and values["entropy", "Entropy (nats), 16 steps"] == 3.24 and len(values) == 6
    assert "| steps | 1 | 4 | 16 |" in card and "| gen_ppl | 1607 | 434.1 | 308.4 |" in card
    code = card.split("```python\n")[1].split("```")[0].replace("FOLDER or ORG/NAME", str(tmp_path / "out"))
    scope: dict = {}
    exec(code.replace("The beginning", "w1"), scope)  # as a reader of the card would
    assert scope["prompt"][:3] == [0, 2, MASK] and PreTrainedTokenizerFast.from_pretrained(tmp_path / "out").mask_token_id == MASK

    meta = json.loads((tmp_path / "out/meta.json").read_text())
    assert meta["inputs"].keys() == {"dataset.json", "model.safetensors", "scores.json"} and not {"machine", "arguments"} & meta.keys()

    scores.write_text("{}")
    done = run("export", *common[2:], "--scores", scores, "--out", tmp_path / "no")
    assert done.returncode == 2 and "is not a scores.json" in done.stderr and not (tmp_path / "no").exists()


def test_the_card_names_what_the_hub_has_and_nothing_of_the_machine(tmp_path, data):
    """Corpus and base model by their ids; of paths the last part, and no speed."""
    folder = tmp_path / "home/someone/teacher"
    folder.mkdir(parents=True)
    model = saved(folder, data)
    trained = {"loss": 5.5, "tokens_per_second": 91234, "train_seconds": 4321.5, "gflops_per_second": 77.25, "mfu": 0.375, "devices": 1}
    meta = {"stage": "load_mdlm", "inputs": {}, "outputs": {}, "seconds": 1.0, "resumed": False, "peak_memory_mib": {}, "git": "a" * 40}
    about = {"teacher": {"checkpoint": "kuleshov-group/mdlm-owt@abc"}, "corpus": {"path": f"{folder}/text.txt"}, "seeds.train": 7}
    write_json(folder / "meta.json", meta | {"parameters": about, "metrics": trained | {"checkpoint": "kuleshov-group/mdlm-owt@abc"}})
    owt = data.model_copy(update={"corpus": "openwebtext", "statistics": {"source": str(folder)}, "tokenizer_source": str(folder)})
    export_model(model, owt, tmp_path)
    text = (tmp_path / "README.md").read_text()
    head = yaml.safe_load(text.split("---")[1])
    assert head["base_model"] == "kuleshov-group/mdlm-owt" and head["datasets"] == ["Skylion007/openwebtext"] and head["license"] is None
    everything = text + "".join(path.read_text() for path in tmp_path.glob("*.json"))
    assert "someone" not in everything and not [value for value in ("91234", "4321.5", "77.25", "0.375") if value in everything]
    assert "text.txt" in text and "loss: 5.5" in text and "train 7" in text
    stories = owt.model_copy(update={"corpus": "hub", "statistics": {"source": f"roneneldan/TinyStories@{'a' * 40}"}})
    export_model(model, stories, tmp_path, base="me/my-teacher")
    head = yaml.safe_load((tmp_path / "README.md").read_text().split("---")[1])
    assert head["base_model"] == "me/my-teacher" and head["datasets"] == ["roneneldan/TinyStories"]


@pytest.mark.parametrize("mask", ["single", "infinite", "gumbel"])
def test_without_time_embedding_it_is_the_same_function(tmp_path, mask):
    """adaLN's constants stand in its biases; at random weights, since new ones modulate nothing."""
    network = small_network(4, mask=mask)
    save_network(tmp_path / "model.safetensors", network)
    small = without_time(load_public(str(tmp_path / "model.safetensors")))
    states = torch.tensor([[2, 7 + 5, 1, 7 + 90, 0]])
    outputs = [of(states, torch.tensor([1, 3])) for of in (network.eval(), small.network())]
    torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-5)
    assert small.config.cond_dim == 1 and outputs[0].std() > 0.01
