"""Writes one of our checkpoints as a folder to publish: read by `load_public`, and by transformers without this project."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file

from imdm.data.blocks import Dataset
from imdm.errors import UserError
from imdm.publish.foreign import OURS
from imdm.publish.public import FINITE, TABLE, PublicModel, load_public
from imdm.stage.artifact import read_meta, write_json
from imdm.stage.shapes import Scores, read
from imdm.writing import whole

CODE = Path(__file__).with_name("modeling_imdm.py")  # never imported here
_SHOWN = ("gen_ppl", "entropy", "mauve")  # of the scores, in the card


def export_model(
    model: str | Path,
    data: Dataset,
    folder: Path,
    weights: str = "ema",
    scores: str | Path | None = None,
    licence: str | None = None,
    dtype: torch.dtype = torch.float32,
) -> PublicModel:
    """Write model.safetensors, config.json, tokenizer.json, tokenizer_config.json, dataset.json, modeling_imdm.py and README.md.

    Args:
        model: model.safetensors of any stage.
        data: the corpus that it was trained on.
        weights: "ema" or "online"; the folder holds one set.
        scores: its scores.json, for the card.
        licence: identifier for the card; None leaves the line to be filled in.
        dtype: of the weights in the file. Whoever loads it here computes in float32 all the same.

    Raises:
        UserError: the model is damaged or of another corpus, or the scores are none.
    """
    public = load_public(str(model), weights, data)
    network = public.network()
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
    card = _card(public, data, count, history(model), _scores(scores) if scores else None, licence)
    (folder / "README.md").write_text(card, encoding="utf-8")
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


def _scores(path: str | Path) -> dict[str, Any]:
    """A scores.json of stages/score.py. Raises UserError: it is none."""
    scores = read(path, Scores, "score")
    if len({frozenset(scores["metrics"][name]) for name in _SHOWN if name in scores["metrics"]}) != 1:
        raise UserError(f"{path} has not the same step counts for all of {', '.join(_SHOWN)}; run stage score again.")
    return scores


def _table(scores: dict[str, Any]) -> str:
    """Rows of metrics, columns of step counts."""
    metrics, judge = scores["metrics"], scores["judge"]
    steps = sorted(metrics["gen_ppl"], key=int)
    lines = [f"| steps | {' | '.join(steps)} |", "|" + "---|" * (1 + len(steps))]
    lines += [f"| {name} | {' | '.join(f'{metrics[name][n]:.4g}' for n in steps)} |" for name in _SHOWN if name in metrics]
    perplexity = judge["held_out_perplexity"]
    about = f"{judge['name']}, whose perplexity on held-out text is {perplexity:.4g}" if perplexity else judge["name"]
    return "\n".join([*lines, "", f"Of {scores['model']}, {scores['task']} samples; gen_ppl by {about}; entropy in nats."])


def _card(
    public: PublicModel, data: Dataset, count: int, steps: list[dict[str, Any]], scores: dict[str, Any] | None, licence: str | None
) -> str:
    config, train = public.config, data.splits["train"]
    masks = {
        "single": "one mask state",
        "infinite": f"noise of {config.noise_dim} dimensions, {config.noise_dist}, scale {config.noise_scale:g}",
        "finite": f"{config.finite_masks} mask embeddings",
        "gumbel": f"the {config.noise_dim} tokens that Gumbel noise favours",
    }
    sizes = f"width {config.hidden_size}, {config.blocks} blocks, {config.heads} heads, {count:,} parameters"
    seeds = {
        f"{key.removeprefix('seeds.')} {value}": None for step in steps for key, value in step["parameters"].items() if "seeds." in key
    }
    trained = "\n".join(f"## {step['stage']}\n\n```yaml\n{yaml.safe_dump(step, sort_keys=False)}```\n" for step in steps)
    return f"""---
library_name: transformers
pipeline_tag: text-generation
tags: [custom_code, masked-diffusion, {public.kind.lower().replace(" ", "-")}]
license: {licence or "# fill in before you publish"}
---
# {public.kind}, masked diffusion language model

Written by the workflow for "Infinite Mask Diffusion for Few-Step Distillation" (arXiv 2605.10518).

| | |
|---|---|
| network | {sizes} |
| mask | {masks[config.mask]}; mask token {config.mask_id} of {config.vocab_size} |
| length | {config.seq_len} tokens: a block begins and ends with token {data.bos_id} |
| training data | {data.corpus}: {train["blocks"]:,} blocks, {train["tokens"]:,} tokens |
| seeds | {", ".join(seeds) or "not recorded"} |
| weights | {public.used} |
| licence | {licence or "fill in before you publish"} |

# How to load it

With torch and transformers; `modeling_imdm.py`, short and without other imports, is the code that `trust_remote_code` lets run:

```python
from transformers import AutoModel, PreTrainedTokenizerFast

model = AutoModel.from_pretrained("FOLDER or ORG/NAME", trust_remote_code=True)
tokenizer = PreTrainedTokenizerFast.from_pretrained("FOLDER or ORG/NAME")
print(tokenizer.batch_decode(model.generate(steps=8, count=4, seed=0)))
ids = tokenizer("The beginning", add_special_tokens=False).input_ids
prompt = [{data.bos_id}, *ids, *[{config.mask_id}] * 5]  # {config.mask_id}, the mask token, is a gap; what follows is filled in too
print(tokenizer.batch_decode(model.generate(prompt, steps=8)))
```

With the workflow, which runs no code of this folder: `load_public("FOLDER or ORG/NAME").network()` of `imdm.publish.public`.
`model.safetensors` has the parameter names of the public MDLM and IMDM checkpoints.

# Scores

{_table(scores) if scores else "None were given to the export."}

# Training

{trained or "No record of it was found beside the checkpoint."}"""
