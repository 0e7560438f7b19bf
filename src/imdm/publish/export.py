"""Writes one of our checkpoints as a folder to publish: read by `load_public`, and by transformers without this project."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from imdm.data.blocks import Dataset
from imdm.network.checkpoint import network_of
from imdm.publish.card import card, history, read_scores
from imdm.publish.foreign import OURS
from imdm.publish.public import FINITE, TABLE, PublicModel, load_public
from imdm.stage.artifact import write_json
from imdm.writing import whole

CODE = Path(__file__).with_name("modeling_imdm.py")  # never imported here


def export_model(
    model: str | Path,
    data: Dataset,
    folder: Path,
    weights: str = "ema",
    scores: str | Path | None = None,
    licence: str | None = None,
    small: bool = False,
    base: str | None = None,
) -> PublicModel:
    """Write model.safetensors, config.json, tokenizer.json, tokenizer_config.json, dataset.json, modeling_imdm.py and README.md.

    Args:
        model: model.safetensors of any stage.
        data: the corpus that it was trained on.
        weights: "ema" or "online"; the folder holds one set.
        scores: its scores.json, for the card.
        licence: identifier for the card; None leaves the line to be filled in.
        small: bfloat16 weights, without the time embedding. Whoever loads them here computes in float32 all the same.
        base: the model of the hub that it was made from, for the card; None: the public checkpoint that was loaded, if any.

    Raises:
        UserError: the model is damaged or of another corpus, or the scores are none.
    """
    public = load_public(str(model), weights, data)
    if small:
        public = without_time(public)
    network, dtype = public.network(), torch.bfloat16 if small else torch.float32
    tensors = network.state_dict()
    if TABLE in tensors:
        tensors[FINITE] = tensors.pop(TABLE)
    kept = {name for name, _ in network.named_buffers()}  # rotary rates, which a rounding would turn into other positions
    named = {f"backbone.{name}": (tensor if name in kept else tensor.to(dtype)).contiguous() for name, tensor in tensors.items()}
    with whole(folder / "model.safetensors") as beside:
        save_file(named, beside, metadata={"format": "pt"})
    write_json(folder / "config.json", _config(public))
    write_json(folder / "tokenizer_config.json", _tokenizer_config(data))
    write_json(folder / "dataset.json", _described(data))
    shutil.copyfile(data.path.with_name("tokenizer.json"), folder / "tokenizer.json")
    shutil.copyfile(CODE, folder / CODE.name)
    count = sum(parameter.numel() for parameter in network.parameters())
    text = card(public, data, count, history(model), read_scores(scores) if scores else None, licence, base)
    (folder / "README.md").write_text(text, encoding="utf-8")
    return public


def without_time(public: PublicModel) -> PublicModel:
    """The same function with a condition of one number that nothing reads: sigma is always 0, so what adaLN makes of it is a constant."""
    network, config = public.network(), public.config.model_copy(update={"cond_dim": 1})
    tensors = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("sigma_map.")}
    tensors |= {f"sigma_map.{name}": tensor for name, tensor in network_of(config).sigma_map.state_dict().items()}
    with torch.no_grad():
        for name, layer in network.named_modules():
            if name.endswith("adaLN_modulation"):
                bias = layer(network.condition())[0]
                tensors |= {f"{name}.bias": bias, f"{name}.weight": bias.new_zeros(len(bias), 1)}
    return replace(public, config=config, online=tensors, ema={})


def _config(public: PublicModel) -> dict[str, Any]:
    """Under the names of kuleshov-group/mdlm-owt, and whole under our own key."""
    config = public.config
    return {
        "model_type": "imdm",
        "architectures": ["ImdmModel"],
        "auto_map": {"AutoConfig": f"{CODE.stem}.ImdmConfig", "AutoModel": f"{CODE.stem}.ImdmModel"},
        "vocab_size": config.vocab_size,
        "model_length": config.seq_len,
        "hidden_dim": config.hidden_size,
        "cond_dim": config.cond_dim,
        "n_blocks": config.blocks,
        "n_heads": config.heads,
        "dropout": config.dropout,
        "time_conditioning": False,
        "mask_index": config.mask_id,
        OURS: config.model_dump(),
    }


def _tokenizer_config(data: Dataset) -> dict[str, Any]:
    """What transformers wants beside tokenizer.json."""
    tokenizer = data.tokenizer()  # refuses a file that isn't the one of the corpus
    names = {"bos_token": data.bos_id, "eos_token": data.eos_id, "mask_token": data.mask_id}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": data.seq_len, "clean_up_tokenization_spaces": False}
    return settings | {name: tokenizer.id_to_token(index) for name, index in names.items()}


def _described(data: Dataset) -> dict[str, Any]:
    """dataset.json, so that the folder needs no other to be written with; without statistics and paths, which are of this machine."""
    source = Path(data.tokenizer_source)
    return data.model_dump(mode="json", exclude={"path"}) | {
        "statistics": {},
        "tokenizer_source": source.name if source.exists() else data.tokenizer_source,
    }
