"""Sizes of a judge: a GPT-2."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imdm.params import Judge

_GPT2 = {"gpt2": (768, 12), "gpt2-medium": (1024, 24), "gpt2-large": (1280, 36), "gpt2-xl": (1600, 48)}
_LONGEST, _VOCABULARY = 1024, 50_257


@dataclass(frozen=True)
class JudgeShape:
    """Width, blocks and vocabulary, with learned positions and a head tied to the embedding."""

    width: int
    blocks: int
    vocab_size: int
    positions: int

    @property
    def parameters(self) -> int:
        d = self.width
        return (self.vocab_size + self.positions) * d + self.blocks * (12 * d * d + 13 * d) + 2 * d

    def token_flops(self, length: int) -> float:
        """Forward operations a token; the causal attention is counted in full, as it is computed or masked by the kernel."""
        d = self.width
        return self.blocks * (24 * d * d + 4 * length * d) + 2 * d * self.vocab_size

    @property
    def held_bytes(self) -> float:
        """Bytes a token of a float32 forward pass: logits, their log-softmax and a copy, and a block's activations."""
        return 12 * self.vocab_size + 60 * self.width

    @property
    def saved_bytes(self) -> float:
        """Bytes a token of a training pass in bfloat16."""
        return self.blocks * 66.4 * self.width + 14 * self.vocab_size


def judge_shape(judge: Judge, vocab_size: int) -> JudgeShape:
    """The judge of an experiment; one that is no GPT-2 by name is counted as GPT-2 Large."""
    if judge.stage == "train_judge":
        return JudgeShape(judge.hidden_size, judge.blocks, vocab_size, 0)
    width, blocks = _GPT2.get(Path(judge.model).name, _GPT2["gpt2-large"])
    return JudgeShape(width, blocks, _VOCABULARY, _LONGEST)
