"""Sizes of an experiment's judge."""

from __future__ import annotations

from pathlib import Path

from imdm.network.sizes import JudgeSizes
from imdm.params import Judge

_GPT2 = {"gpt2": (768, 12), "gpt2-medium": (1024, 24), "gpt2-large": (1280, 36), "gpt2-xl": (1600, 48)}
_LONGEST, _VOCABULARY = 1024, 50_257


def judge_shape(judge: Judge, vocab_size: int) -> JudgeSizes:
    """The judge of an experiment; one that is no GPT-2 by name is counted as GPT-2 Large."""
    if judge.stage == "train_judge":
        return JudgeSizes(judge.hidden_size, judge.blocks, vocab_size, 0)
    width, blocks = _GPT2.get(Path(judge.model).name, _GPT2["gpt2-large"])
    return JudgeSizes(width, blocks, _VOCABULARY, _LONGEST)
