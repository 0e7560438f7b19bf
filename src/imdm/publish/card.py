"""The model card of an export: what the hub reads of it, how it is used, its scores, and its training without what is of one machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCardData

from imdm.data import lm1b, openwebtext
from imdm.data.blocks import Dataset
from imdm.errors import UserError
from imdm.publish.public import PublicModel
from imdm.stage.artifact import Scores, read_meta, read_output

_SHOWN = {"gen_ppl": "Gen-PPL", "entropy": "Entropy (nats)", "mauve": "MAUVE"}  # of the scores
_DATASETS = {"lm1b": lm1b.HUB.name, "openwebtext": openwebtext.HUB.name}
_MACHINE = ("devices", "tokens_per_second", "train_seconds", "gflops_per_second", "mfu")  # of a training's figures: the machine's
_ID = re.compile(r"[\w.-]+/[\w.-]+")


def history(model: str | Path) -> list[dict[str, Any]]:
    """Stage, parameters and figures of every training behind a checkpoint, first one first, as far as meta.json files are there."""
    meta = read_meta(model)
    if meta is None:
        return []
    before = [step for path in meta["inputs"] if path.endswith(".safetensors") for step in history(path)]
    steps = [*before, {key: meta[key] for key in ("stage", "git", "parameters", "metrics")}]
    return [step for index, step in enumerate(steps) if step not in steps[:index]]


def read_scores(path: str | Path) -> dict[str, Any]:
    """A scores.json of stages/score.py. Raises UserError: it is none."""
    scores = read_output(path, Scores, "score")
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


def shared(value: Any) -> Any:
    """What a step of a training says to everyone: without a machine's speed, and of a path on it the last part alone."""
    if isinstance(value, dict):
        return {key: shared(item) for key, item in value.items() if key not in _MACHINE}
    if isinstance(value, list):
        return [shared(item) for item in value]
    local = isinstance(value, str) and "/" in value and (value[0] in "/~." or Path(value).exists())
    return Path(value).name if local else value


def base_model(steps: list[dict[str, Any]]) -> str | None:
    """The hub's id of the public checkpoint that a training began with."""
    named = [str(step["metrics"].get("checkpoint", "")) for step in steps if step["stage"] == "load_mdlm"]
    return next((found[0] for name in named if (found := _ID.match(name)) and not Path(name).exists()), None)


def hub_dataset(data: Dataset) -> str | None:
    """The hub's id of the data set that a corpus is, None for text from elsewhere."""
    repo, _, commit = str(data.statistics.get("source", "")).partition("@")
    return repo if data.corpus == "hub" and commit else _DATASETS.get(data.corpus)


def _head(public: PublicModel, data: Dataset, scores: dict[str, Any] | None, licence: str | None, base: str | None) -> str:
    """What the hub reads: YAML, of which `model-index` has the scores."""
    metrics, dataset = (scores or {"metrics": {}})["metrics"], hub_dataset(data)
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=dataset or data.corpus,
            dataset_name=data.corpus,
            metric_type=name,
            metric_name=f"{words}, {steps} step{'s' if int(steps) > 1 else ''}",
            metric_value=float(f"{metrics[name][steps]:.4g}"),
        )
        for name, words in _SHOWN.items()
        for steps in sorted(metrics.get(name, ()), key=int)
    ]
    about = ModelCardData(
        language="en" if data.corpus in (*_DATASETS, "pydocs") else None,
        license=licence,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["custom_code", "masked-diffusion", public.kind.lower().replace(" ", "-")],
        datasets=[dataset] if dataset else None,
        base_model=base,
        model_name=scores["model"] if scores else None,
        eval_results=results or None,
    )
    return about.to_yaml() + ("" if licence else "\nlicense: # fill in before you publish")


def card(
    public: PublicModel,
    data: Dataset,
    count: int,
    steps: list[dict[str, Any]],
    scores: dict[str, Any] | None,
    licence: str | None,
    base: str | None,
) -> str:
    """The whole README.md.

    Args:
        count: parameters of the network.
        steps: of `history`.
        base: id of the model that it was made from; None: `base_model` of the steps.
    """
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
    trained = "\n".join(f"## {step['stage']}\n\n```yaml\n{yaml.safe_dump(shared(step), sort_keys=False)}```\n" for step in steps)
    return f"""---
{_head(public, data, scores, licence, base or base_model(steps))}
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
