"""Writes one of our checkpoints as the folder that the public ones are: the inverse of `load_public`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import save_file

from imdm.artifact import read_meta, write_json
from imdm.data.blocks import Dataset
from imdm.models.public import FINITE, TABLE, PublicModel, load_public
from imdm.models.stated import OURS

PREFIXES = {"backbone": "backbone.", "bare": ""}


def export_model(model: str | Path, data: Dataset, folder: Path, weights: str = "ema", layout: str = "backbone") -> PublicModel:
    """Write model.safetensors, config.json, tokenizer.json and README.md.

    Args:
        model: model.safetensors of any stage.
        data: the corpus that it was trained on.
        weights: "ema" or "online"; the folder holds one set.
        layout: "backbone" as in kuleshov-group/mdlm-owt, or "bare" names.

    Raises:
        UserError: the model is damaged or of another corpus.
    """
    public = load_public(str(model), weights, data)
    network = public.network()
    tensors = network.state_dict()
    if TABLE in tensors:
        tensors[FINITE] = tensors.pop(TABLE)
    named = {f"{PREFIXES[layout]}{name}": tensor.contiguous() for name, tensor in tensors.items()}
    save_file(named, folder / "model.safetensors", metadata={"format": "pt"})
    write_json(folder / "config.json", _config(public))
    data.tokenizer()  # refuses a file that isn't the one of the corpus
    shutil.copyfile(data.path.with_name("tokenizer.json"), folder / "tokenizer.json")
    count = sum(parameter.numel() for parameter in network.parameters())
    (folder / "README.md").write_text(_card(public, data, count, history(model)), encoding="utf-8")
    return public


def history(model: str | Path) -> list[dict[str, Any]]:
    """Stage, parameters and figures of every training behind a checkpoint, first one first, as far as meta.json files are there."""
    meta = read_meta(model)
    if meta is None:
        return []
    before = [step for path in meta["inputs"] if path.endswith(".safetensors") for step in history(path)]
    steps = [*before, {key: meta[key] for key in ("stage", "git", "parameters", "metrics")}]
    return [step for index, step in enumerate(steps) if step not in steps[:index]]


def _config(public: PublicModel) -> dict[str, Any]:
    """Under the names of kuleshov-group/mdlm-owt, and whole under our own key."""
    config = public.config
    return {
        "model_type": "mdlm",
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


def _card(public: PublicModel, data: Dataset, count: int, steps: list[dict[str, Any]]) -> str:
    config, train = public.config, data.splits["train"]
    masks = {
        "single": "one mask state",
        "infinite": f"noise of {config.noise_dim} dimensions, {config.noise_dist}, scale {config.noise_scale:g}",
        "finite": f"{config.finite_masks} mask embeddings",
    }
    sizes = f"width {config.hidden_size}, {config.blocks} blocks, {config.heads} heads, {count:,} parameters"
    trained = "\n".join(f"## {step['stage']}\n\n```yaml\n{yaml.safe_dump(step, sort_keys=False)}```\n" for step in steps)
    return f"""---
library_name: imdm
pipeline_tag: text-generation
tags: [masked-diffusion, {public.kind.lower().replace(" ", "-")}]
license: # fill in before you publish
---
# {public.kind}, masked diffusion language model

Written by the workflow for "Infinite Mask Diffusion for Few-Step Distillation" (arXiv 2605.10518).

| | |
|---|---|
| network | {sizes} |
| mask | {masks[config.mask]}; mask token {config.mask_id} of {config.vocab_size} |
| length | {config.seq_len} tokens |
| training data | {data.corpus}: {train["blocks"]:,} blocks, {train["tokens"]:,} tokens |
| weights | {public.used} |
| licence | fill in before you publish |

Load it, from this folder or from the hub:

    from imdm.models.public import load_public; network = load_public("FOLDER or ORG/NAME").network()

`model.safetensors` has the parameter names of the public MDLM and IMDM checkpoints. `tokenizer.json` is for the tokenizers library.

# Training

{trained or "No record of it was found beside the checkpoint."}"""
