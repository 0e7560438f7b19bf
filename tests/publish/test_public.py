"""Public checkpoints in each of their layouts against the public networks' outputs, and the export back."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from corpora import random_corpus
from imdm.data.blocks import Dataset
from imdm.diffusion.counter import row_seeds
from imdm.diffusion.nelbo import Noised, weighted_nll
from imdm.diffusion.states import initial_masks
from imdm.errors import UserError
from imdm.network.checkpoint import load_network, save_network
from imdm.network.ema import Ema
from imdm.publish.export import export_model
from imdm.publish.public import load_public
from imdm.stage.artifact import sha256, write_json
from networks import small_network
from script import made, run

PARITY = Path(__file__).parents[1] / "parity"
BUFFER = "rotary_emb.inv_freq"
LENGTH, MASK = 20, 66


def weights_of(kind: str) -> dict[str, Tensor]:
    """Tensors of a public network in the order of its registration."""
    tensors = load_file(PARITY / kind / "weights.safetensors")
    return {name: tensors[name] for name in json.loads((PARITY / kind / "config.json").read_text())["keys"]}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Dataset:
    return random_corpus(tmp_path_factory.mktemp("corpus"), 67, MASK, LENGTH)


def bare_file(folder: Path, tensors: dict[str, Tensor]) -> Path:
    save_file(tensors, folder / "weights.bin")  # the name says nothing of the content
    return folder / "weights.bin"


def hub_folder(folder: Path, tensors: dict[str, Tensor], prefix: str = "backbone.") -> Path:
    """As kuleshov-group/mdlm-owt, with the wrong cond_dim of its config class; as SDTT's with another prefix."""
    save_file({prefix + name: tensor for name, tensor in tensors.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    write_json(folder / "config.json", {"vocab_size": 67, "model_length": LENGTH, "cond_dim": 129, "n_heads": 3})
    return folder


def doubly_wrapped(folder: Path, tensors: dict[str, Tensor]) -> Path:
    return hub_folder(folder, tensors, "backbone._orig_mod.backbone.")


def state_dict_folder(folder: Path, tensors: dict[str, Tensor]) -> Path:
    """As PyTorchModelHubMixin writes a Hydra config."""
    torch.save(tensors, folder / "pytorch_model.bin")
    write_json(folder / "config.json", {"vocab_size": 67, "config": {"model": {"n_heads": 3, "length": LENGTH}, "algo": {"name": "x"}}})
    return folder


def lightning(folder: Path, tensors: dict[str, Tensor], averaged: bool = True) -> Path:
    """With online weights that are far from their average, a teacher, settings, a tokenizer and an optimizer."""
    online = {name: t if name == BUFFER or not averaged else t + 0.05 for name, t in tensors.items()}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer(tokenizers.models.BPE()), eos_token="</s>")
    config = {"model": {"n_heads": 3, "length": LENGTH, "softcap": -1.0}, "algo": {"noise_type": "uniform"}, "path": "${model.length}"}
    checkpoint = {
        "state_dict": {f"teacher.{n}": t for n, t in tensors.items()} | {f"backbone.{n}": t for n, t in online.items()},
        "hyper_parameters": {"config": OmegaConf.create(config), "tokenizer": tokenizer},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"betas": (0.9, 0.999)}]}],
        "callbacks": {"ModelCheckpoint": {"dirpath": Path("/tmp"), "best": np.float64(1.5)}},
    }
    if averaged:
        shadow = [tensor for name, tensor in tensors.items() if name != BUFFER]
        checkpoint["ema"] = {"decay": 0.9999, "num_updates": 7, "shadow_params": shadow}
    torch.save(checkpoint, folder / "last.ckpt")
    return folder / "last.ckpt"


LAYOUTS = [bare_file, hub_folder, doubly_wrapped, state_dict_folder, lightning]


@torch.no_grad()
def agrees(network, kind: str, rename: Tensor | None = None) -> None:
    """Logits, also under time conditioning, and SUBS to 1e-4 and NELBO to 1e-5 of the public network; `rename` gives tokens' new ids."""
    io = np.load(PARITY / kind / "io.npz")
    rename = torch.arange(67) if rename is None else rename
    x0, xt = (rename[torch.from_numpy(io[name]).long()] for name in ("x0", "xt"))
    latent = torch.from_numpy(io["latent_z"]) if kind == "di4c" else None
    z = torch.where(xt == rename[MASK], 67 + torch.arange(xt.numel()).view_as(xt), xt)
    if kind == "imdm":  # keys count the positions, so that each gets the noise it had there
        eps = torch.from_numpy(io["noise"]).flatten(0, 1)
        network.vocab_embed.mask_vectors = lambda keys: network.vocab_embed.imdm_mlp(eps[keys])
    for sigma, name in ((None, "logits_sigma0"), (torch.from_numpy(io["sigma_t"]), "logits_sigma_t")):
        logits = network.logits(network.hidden(z, sigma, latent=latent), sigma)[..., rename]
        assert np.abs(logits.numpy() - io[name]).max() < 1e-4
    masked = (z >= 67).flatten().nonzero().squeeze(1)
    out, t = network(z, masked, latent), torch.from_numpy(io["t"]).double()
    tokens = np.delete(np.arange(67), MASK)
    log_p = torch.log_softmax(out[:, rename], -1).numpy()
    assert np.abs(log_p - io["subs_logprobs"].reshape(-1, 67)[masked])[:, tokens].max() < 1e-4 and np.exp(log_p[:, MASK]).max() == 0
    assert weighted_nll(out, Noised(z, x0, masked, t)).item() == pytest.approx(io["nelbo_mean"].item(), abs=1e-5)
    nll = torch.nn.functional.cross_entropy(out, x0.flatten()[masked], reduction="none").double()
    theirs = torch.from_numpy(io["nelbo_per_token"]).flatten()[masked]
    assert (nll / t.repeat_interleave(LENGTH)[masked] - theirs).abs().max() < 1e-5 * max(1, theirs.max())


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("kind", ["mdlm", "imdm", "di4c"])
def test_every_layout_gives_the_public_outputs(kind, layout, tmp_path, data):
    public = load_public(str(layout(tmp_path, weights_of(kind))), data=data)
    agrees(public.network(), kind)
    assert public.kind.lower() == kind
    assert public.used == ("ema" if layout is lightning else "the only ones")
    wanted = {"hidden_size": 48, "blocks": 2, "heads": 3, "cond_dim": 16, "vocab_size": 67, "mask_id": MASK, "seq_len": LENGTH}
    wanted |= {"softcap": None, "noise_dist": "uniform", "noise_scale": 1.0, "latent_hidden": 512 if kind == "di4c" else None}
    wanted |= {"tokenizer_sha256": data.tokenizer_sha256} | ({"noise_dim": 24} if kind == "imdm" else {})
    assert wanted.items() <= public.config.model_dump().items()


@pytest.mark.parametrize("kind", ["mdlm", "imdm"])
def test_a_mask_in_the_middle_of_the_vocabulary(kind, tmp_path):
    rename = torch.randperm(67, generator=torch.Generator().manual_seed(1))
    rename[[MASK, rename.tolist().index(30)]] = rename[[rename.tolist().index(30), MASK]]
    assert rename[MASK] == 30
    tensors = weights_of(kind)
    for name in ("vocab_embed.embedding", "output_layer.linear.weight", "output_layer.linear.bias"):
        tensors[name] = tensors[name][rename.argsort()].contiguous()
    agrees(load_public(str(lightning(tmp_path, tensors)), data=random_corpus(tmp_path / "data", 67, 30, LENGTH)).network(), kind, rename)


def test_online_weights_and_files_without_an_average(tmp_path, data):
    tensors = weights_of("imdm")
    online = load_public(str(lightning(tmp_path, tensors)), "online", data)
    assert online.used == "online" and not online.ema
    assert torch.equal(online.online["vocab_embed.imdm_mlp.0.bias"], tensors["vocab_embed.imdm_mlp.0.bias"] + 0.05)
    alone = load_public(str(lightning(tmp_path, tensors, averaged=False)), "ema", data)
    assert alone.used == "the only ones"
    agrees(alone.network(), "imdm")


def test_the_authors_finite_masks_and_their_mlp_with_a_bias(tmp_path, data):
    network = small_network(mask="finite", finite_masks=9, vocab_size=67, mask_id=MASK, seq_len=LENGTH)
    tensors = network.state_dict()
    tensors["vocab_embed.imdm_mlp.weight"] = tensors.pop("vocab_embed.mask_table")
    found = load_public(str(bare_file(tmp_path, tensors)), data=data)
    assert (found.config.mask, found.config.finite_masks) == ("finite", 9)
    z = initial_masks(row_seeds(0, 0, 3), LENGTH, 67)
    assert torch.equal(found.network().hidden(z), network.hidden(z))

    tensors = weights_of("imdm") | {"vocab_embed.imdm_mlp.2.bias": torch.zeros(48)}
    agrees(load_public(str(bare_file(tmp_path, tensors)), data=data).network(), "imdm")
    tensors["vocab_embed.imdm_mlp.2.bias"][5] = 1e-3
    with pytest.raises(UserError, match="has a bias in the last layer of its mask MLP"):
        load_public(str(bare_file(tmp_path, tensors)), data=data)


def test_mask_ids_of_bert_and_gpt2(tmp_path):
    for vocab_size, mask_id in ((30_522, 103), (50_258, 50_257)):
        save_file(small_network(vocab_size=vocab_size, mask="single").state_dict(), tmp_path / "model.safetensors")
        write_json(tmp_path / "config.json", {"model_length": LENGTH})
        config = load_public(str(tmp_path)).config
        assert (config.mask_id, config.heads) == (mask_id, 2)
    save_file(weights_of("mdlm"), tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="does not state its mask id"):
        load_public(str(tmp_path))


class Evil:
    """Pickles to a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("attack", ["system", "eval", "rmtree", "touch"])
def test_code_in_a_checkpoint_does_not_run(attack, tmp_path, data):
    kept, made = tmp_path / "kept", tmp_path / "made"
    kept.mkdir()
    evil = {
        "system": Evil(os.system, f"touch {made}"),
        "eval": Evil(eval, f"open({str(made)!r}, 'w')"),
        "rmtree": Evil(shutil.rmtree, str(kept)),
        "touch": Evil(Path.touch, made),
    }[attack]
    path = lightning(tmp_path, weights_of("mdlm"))
    torch.save(torch.load(path, weights_only=False) | {"callbacks": evil}, path)
    try:
        agrees(load_public(str(path), data=data).network(), "mdlm")
    except UserError as error:  # a module that torch blocks under any name, and a method that is asked for by getattr
        assert attack in ("system", "touch") and "can't be read safely" in str(error)
    assert kept.exists() and not made.exists()
    torch.load(path, weights_only=False)  # the attack is a real one
    assert made.exists() or not kept.exists()


def without(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}


def test_bad_files_are_refused_with_a_sentence(tmp_path, data):
    good = weights_of("mdlm")

    def refused(words: str, where: Path | str, weights: str = "ema") -> None:
        with pytest.raises(UserError, match=words) as caught:
            load_public(str(where), weights, data)
        assert str(caught.value).endswith(".") and "\n" not in str(caught.value)

    def file(tensors: dict[str, Tensor]) -> Path:
        return bare_file(tmp_path, tensors)

    path = file(good)
    path.write_bytes(path.read_bytes()[:-100])
    refused("truncated", path)
    path = lightning(tmp_path, good)
    whole = path.read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:size])
        refused("truncated", path)
    path.write_bytes(whole[:2000] + bytes(3000) + whole[5000:])
    refused("damaged", path)
    torch.save([1, 2], tmp_path / "list.pt")
    refused("holds no network of MDLM's kind", tmp_path / "list.pt")
    gpt2 = {"wte.weight": torch.zeros(7, 4), "wpe.weight": torch.zeros(5, 4), "h.0.ln_1.weight": torch.zeros(4)}
    refused("first tensor: h.0.ln_1.weight|first tensor: wte.weight", file(gpt2))
    refused("lacks blocks.1.attn_out.weight", file(without(good, "blocks.1.attn_out.weight")))
    refused("lacks blocks.0", file(without(good, "blocks")))
    refused("lacks sigma_map.mlp.2.weight", file(without(good, "sigma_map.mlp.2.weight")))
    refused(r"blocks.0.norm1.weight of shape \(7,\), not \(48,\)", file(good | {"blocks.0.norm1.weight": torch.zeros(7)}))
    refused("blocks.0.attn_q_norm.weight, for which", file(good | {"blocks.0.attn_q_norm.weight": torch.zeros(7)}))
    refused("lacks latent_projection.2.bias", file(without(weights_of("di4c"), "latent_projection.2.bias")))

    ours = lightning(tmp_path, good)
    tree = torch.load(ours, weights_only=False)
    tree["ema"]["shadow_params"].pop()
    torch.save(tree, ours)
    refused("moving average of .* set weights to online", ours)
    assert load_public(str(ours), "online", data).used == "online"

    folder = tmp_path / "folder"
    folder.mkdir()
    refused("holds no .safetensors, .ckpt, .pt, .bin file", folder)
    torch.save(good, folder / "a.pt")
    torch.save(good, folder / "b.ckpt")
    refused("holds a.pt, b.ckpt; name", folder)
    hub_folder(folder, good)
    write_json(folder / "config.json", {"n_heads": 4})
    refused("n_heads 4 does not fit", folder)
    write_json(folder / "config.json", {"n_heads": "many"})
    refused("is wrong .n_heads", folder)
    write_json(folder / "config.json", {"mask_index": 3})
    refused("has mask id 3", folder)
    write_json(folder / "config.json", {"model_length": 1024})
    refused("has seq_len 1024", folder)
    (folder / "config.json").write_text("{")
    refused("not valid JSON", folder)
    refused("does not exist", tmp_path / "nowhere.ckpt")


def test_a_checkpoint_of_the_hub(tmp_path, data, monkeypatch):
    """From the hub client's own cache, as on a node without a network."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "models--org--name"
    (cached / "refs").mkdir(parents=True)
    for name in ("main", "step_7"):
        (cached / "refs" / name).write_text(commit)
    snapshot = cached / "snapshots" / commit
    snapshot.mkdir(parents=True)
    hub_folder(snapshot, weights_of("mdlm"))
    lightning(snapshot, weights_of("imdm"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for where, kind in (("org/name", "mdlm"), ("org/name@step_7", "mdlm"), ("org/name@step_7/last.ckpt", "imdm")):
        public = load_public(where, data=data)
        assert public.file.revision == commit
        agrees(public.network(), kind)
    with pytest.raises(UserError, match="no file other.ckpt"):
        load_public("org/name/other.ckpt", data=data)
    with pytest.raises(UserError, match="org/unknown is no local file and can't be had from the hub"):
        load_public("org/unknown", data=data)


@settings(max_examples=20, deadline=None)
@given(
    mask=st.sampled_from(["single", "infinite", "finite"]),
    latent=st.sampled_from([None, 4]),
    positions=st.booleans(),
    heads=st.sampled_from([1, 2, 4]),
    mask_id=st.integers(0, 6),
    weights=st.sampled_from(["ema", "online"]),
    seed=st.integers(0, 9),
)
def test_export_and_load_is_the_identity(tmp_path_factory, mask, latent, positions, heads, mask_id, weights, seed):
    folder = tmp_path_factory.mktemp("export")
    data = random_corpus(folder / "data", 7, mask_id, 5)
    sizes = dict(mask=mask, latent_hidden=latent, learned_positions=positions, heads=heads, mask_id=mask_id, finite_masks=9, softcap=3.5)
    network = small_network(seed, tokenizer_sha256=data.tokenizer_sha256, noise_dist="gaussian", noise_scale=0.5, **sizes)
    ema = Ema(network, 0.9)
    ema.shadow = [tensor + 1 for tensor in ema.shadow]
    save_network(folder / "model.safetensors", network, ema)
    out, again = folder / "out", folder / "again"
    for each in (out, again):
        each.mkdir()
        export_model(folder / "model.safetensors", data, each, weights)
    names = load_file(out / "model.safetensors").keys()
    assert all(name.startswith("backbone.") for name in names)
    back, expected = load_public(str(out), data=data), load_network(folder / "model.safetensors", weights).state_dict()
    assert back.config == network.config
    assert back.online.keys() == expected.keys() and all(torch.equal(back.online[name], expected[name]) for name in expected)
    assert sha256(out / "tokenizer.json") == data.tokenizer_sha256
    assert all((again / path.name).read_bytes() == path.read_bytes() for path in out.iterdir())


def test_an_exported_mdlm_has_the_public_names(tmp_path, data):
    """The same file as the public one, and the fields of its config."""
    public = load_public(str(bare_file(tmp_path, weights_of("mdlm"))), data=data)
    save_network(tmp_path / "model.safetensors", public.network())
    (out := tmp_path / "out").mkdir()
    export_model(tmp_path / "model.safetensors", data, out)
    theirs, ours = weights_of("mdlm"), load_file(out / "model.safetensors")
    assert ours.keys() == {f"backbone.{name}" for name in theirs}
    assert all(torch.equal(ours[f"backbone.{name}"], tensor) for name, tensor in theirs.items())
    sizes = {"vocab_size": 67, "model_length": 20, "hidden_dim": 48, "cond_dim": 16, "n_blocks": 2, "n_heads": 3}
    assert (sizes | {"time_conditioning": False}).items() <= json.loads((out / "config.json").read_text()).items()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, data) -> Path:
    """What load_mdlm made of an IMDM with both sets of weights."""
    folder = tmp_path_factory.mktemp("loaded")
    sets = [f"public.authors={{checkpoint: {lightning(folder, weights_of('imdm'))}}}"]
    return made("load_mdlm", folder / "authors", "--public", "authors", "--data", data.path, sets=sets)


def test_load_mdlm_writes_what_a_teacher_has(loaded):
    meta = json.loads((loaded / "meta.json").read_text())["metrics"]
    assert (meta["weights"], meta["network"], meta["revision"]) == ("ema", "IMDM", None)
    source = loaded.with_name("last.ckpt")
    assert (meta["checkpoint"], meta["sha256"]) == (str(source), sha256(source))
    validation = json.loads((loaded / "validation.json").read_text())
    assert meta["parameters"] == validation["parameters"] == sum(t.numel() for name, t in weights_of("imdm").items() if name != BUFFER)
    assert validation["low"] < validation["valid_perplexity"] < validation["high"]
    assert (loaded / "train_log.csv").read_text().splitlines() == ["step,loss,lr,tokens_per_second,seconds"]
    agrees(load_network(loaded / "model.safetensors").eval(), "imdm")
    online = load_network(loaded / "model.safetensors", "online").state_dict()["blocks.0.norm1.weight"]
    assert torch.equal(online, weights_of("imdm")["blocks.0.norm1.weight"] + 0.05)


def test_load_mdlm_says_what_it_can_not_give(tmp_path, data):
    sets = [f"teacher.checkpoint={hub_folder(tmp_path, weights_of('mdlm'))}"]
    done = run("load_mdlm", "--data", data.path, "--out", tmp_path / "teacher", sets=sets)
    assert done.returncode == 0, done.stderr
    assert "holds one set of weights, so weights: ema has no effect" in done.stdout
    assert json.loads((tmp_path / "teacher" / "meta.json").read_text())["metrics"]["weights"] == "the only ones"
    done = run("load_mdlm", "--data", data.path, "--public", "none", "--out", tmp_path / "no")
    assert done.returncode == 2 and "public has no 'none'" in done.stderr and not (tmp_path / "no").exists()
