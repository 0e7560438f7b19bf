"""Real text under the judge: MAUVE's features, Gen-PPL and entropy for every scoring of a run, and the judge's own perplexity."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from imdm.data.blocks import Dataset, block_order
from imdm.errors import UserError
from imdm.files import said
from imdm.params import Scoring
from imdm.scoring.bootstrap import ratio_interval
from imdm.scoring.diversity import entropy
from imdm.scoring.exact import exact_figures
from imdm.scoring.gen_ppl import Judged, gen_ppl, judge_ids, judge_texts, scored
from imdm.scoring.judge import AnyJudge, Judge
from imdm.scoring.metrics import judge_each, text_figures
from imdm.scoring.reference_file import TENSORS, Real, read_tensor
from imdm.stage.artifact import Reference, read_output, sha256, write_json
from imdm.stage.chunks import Progress, no_progress
from imdm.writing import whole

_TOKENS, _RESAMPLES = 2**16, 1000  # for the perplexity of the judge itself, which needs no more
Settings = dict[str, Any]


@dataclass
class RealText:
    """Real text of one kind.

    Attributes:
        split: where it is from.
        tokens: the scored token ids [n, L].
        judged: the judge's verdict.
        settings: of the prompts that it belongs to; None where it is for unconditional samples.
    """

    split: str
    tokens: np.ndarray
    judged: Judged
    settings: Settings | None = None


def judge_blocks(
    judge: AnyJudge,
    blocks: np.ndarray,
    data: Dataset,
    split: str,
    scoring: Scoring,
    folder: Path,
    settings: Settings | None = None,
    progress: Progress = no_progress,
) -> RealText:
    """Judge blocks [n, L], or their beginnings where `settings` are those of prompts; what is judged stays below `folder`."""
    tokens, name = scored(blocks, settings), "unconditional" if settings is None else "conditional"
    (judged,) = judge_each(judge, [tokens], data.tokenizer(), scoring, folder, name, progress)
    return RealText(split, tokens, judged, settings)


def common_settings(judge_json: str | Path, judge: AnyJudge, data: Dataset, scoring: Scoring) -> dict[str, Settings]:
    """What scores and reference must have in common."""
    return {
        "judge": {"name": judge.name, "precision": judge.precision, "sha256": sha256(judge_json)},
        "settings": {
            "retokenize": scoring.retokenize,
            "clean_up": scoring.clean_up,
            "max_tokens": scoring.max_tokens,
            "tokenizer_sha256": data.tokenizer_sha256,
            "seq_len": data.seq_len,
        },
    }


def save_reference(
    folder: Path, judge: AnyJudge, common: dict[str, Settings], texts: dict[str, RealText | None], resamples: int, seed: int
) -> None:
    """Write reference.json, with the `common_settings`, and reference.safetensors.

    Args:
        texts: `unconditional` and `conditional`, that `judge` has judged; None where there is no such text.
    """
    tree: dict[str, Any] = dict(common)
    tensors: dict[str, np.ndarray] = {}
    for name, text in texts.items():
        if text is None:
            tree[name] = None
            continue
        figures = text_figures(text.tokens, text.judged, resamples, seed) | exact_figures(judge, text.tokens, resamples, seed)
        tree[name] = {"split": text.split, "count": len(text.tokens), "tokens": int(text.judged.tokens.sum()), "settings": text.settings}
        tree[name] |= {metric: dict(zip(("value", "low", "high"), figure, strict=True)) for metric, figure in figures.items()}
        values = vars(text.judged) | {"entropy": entropy(text.tokens), "ids": text.tokens.astype(np.int32)}
        tensors |= {f"{name}.{key}": np.ascontiguousarray(value) for key, value in values.items()}
    with whole(folder / TENSORS) as beside:
        save_file(tensors, beside)
    write_json(folder / "reference.json", tree)


def load_real(path: str | Path, common: dict[str, Settings], settings: Settings | None) -> Real:
    """The real text that some samples are compared with.

    Args:
        path: a reference.json.
        common: of `common_settings`, for the judge and the parameters in use.
        settings: of the samples' prompts, None for unconditional samples.

    Raises:
        UserError: it is no reference, has no such text, or was made with another judge or other settings.
    """
    path, name = Path(path), "unconditional" if settings is None else "conditional"
    tree = read_output(path, Reference, "reference")
    text, made_with = tree[name], {key: tree[key] for key in common}
    if text is None:
        raise UserError(f"{path} has no text for completions; run reference with the conditional parameters of the samples.")
    made_with["prompts"] = text["settings"]
    for key, expected in (common | {"prompts": settings}).items():
        if made_with[key] != expected:
            made, wanted = (said(json.dumps(settings), 300) for settings in (made_with[key], expected))
            raise UserError(f"{path} was made with {key} {made}, not {wanted}; run reference again.")
    return Real(*(read_tensor(path, f"{name}.{key}") for key in Real._fields))


def held_out_perplexity(
    judge: Judge, data: Dataset, batch_size: int, seed: int, retokenize: bool = False, clean_up: bool = False
) -> dict[str, float]:
    """Perplexity of blocks of the valid split that `seed` chooses, with its 95% interval: entries of judge.json."""
    blocks = data.split("valid")
    chosen = blocks[block_order(len(blocks), seed, 0)[: max(1, _TOKENS // data.seq_len)]]
    judged = judge_texts(judge, judge_ids(chosen, data.tokenizer(), judge, retokenize, clean_up), batch_size)
    low, high = ratio_interval(judged.nll, judged.tokens, _RESAMPLES, seed)
    return {"held_out_perplexity": gen_ppl(judged.nll, judged.tokens), "low": math.exp(low), "high": math.exp(high)}
