"""What is compared: each case by name, with its sides. Ours is the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from benchmarks import ours, theirs
from benchmarks.scales import Scale
from benchmarks.side import Side

OURS = "ours"
RECORDED = "ours, CUDA graphs"


def _recorded(side: Callable[..., Side], **options: str) -> dict[str, Callable[[Scale], Side]]:
    """A further side of ours, for a GPU alone."""
    return {RECORDED: partial(side, cuda_graphs=True, **options)} if torch.cuda.is_available() else {}


@dataclass(frozen=True)
class Case:
    """A comparison.

    Attributes:
        corpus: attribute of Scale that it works on.
        sides: how each is made, by label.
        detail: of the scale, what else a reader must know.
    """

    title: str
    corpus: str
    sides: dict[str, Callable[[Scale], Side]]
    detail: Callable[[Scale], str]

    def setting(self, scale: Scale) -> str:
        return f"{ours.corpus_line(scale, getattr(scale, self.corpus))}, {self.detail(scale)}"


def _generated(scale: Scale) -> str:
    return f"{scale.openwebtext.rows} rows, {scale.steps} steps"


def _openwebtext_batch(scale: Scale) -> str:
    return f"batch {scale.openwebtext.batch}"


def _noisy_batch(scale: Scale) -> str:
    return f"{_openwebtext_batch(scale)}, d_noise {scale.openwebtext.noise_dim:,}"


def _lm1b_batch(scale: Scale) -> str:
    return f"batch {scale.lm1b.batch}, d_noise {scale.lm1b.noise_dim:,}"


CASES = {
    "sample": Case(
        "Sampling, single mask",
        "openwebtext",
        {
            OURS: partial(ours.sampling, mask="single"),
            **_recorded(ours.sampling, mask="single"),
            "peers": partial(theirs.sampling, mask="single"),
            "peers, float32": partial(theirs.sampling, mask="single", dtype=torch.float32),
        },
        _generated,
    ),
    "sample-noise": Case(
        "Sampling, infinite mask",
        "openwebtext",
        {OURS: partial(ours.sampling, mask="infinite"), "peers": partial(theirs.sampling, mask="infinite")},
        lambda scale: f"{_generated(scale)}, d_noise {scale.openwebtext.noise_dim:,}",
    ),
    "couple": Case(
        "Perturbed couplings",
        "lm1b",
        {
            OURS: ours.coupling,
            **_recorded(ours.coupling),
            "peers": partial(theirs.coupling, cached=False),
            "peers, cached": partial(theirs.coupling, cached=True),
            "peers, cached, float32": partial(theirs.coupling, cached=True, dtype=torch.float32),
        },
        lambda scale: f"{scale.lm1b.rows} pairs, {scale.coupling_steps:,} steps",
    ),
    "pretrain": Case(
        "Pretraining step, single mask",
        "openwebtext",
        {
            OURS: lambda scale: ours.pretraining(scale, "single").side(),
            "peers": lambda scale: theirs.nelbo_step(ours.pretraining(scale, "single")),
        },
        _openwebtext_batch,
    ),
    "pretrain-noise": Case(
        "Pretraining step, infinite mask",
        "openwebtext",
        {
            OURS: lambda scale: ours.pretraining(scale, "infinite").side(),
            "peers": lambda scale: theirs.nelbo_step(ours.pretraining(scale, "infinite")),
        },
        _noisy_batch,
    ),
    "pretrain-short": Case(
        "Pretraining step, single mask, LM1B",
        "lm1b",
        {
            OURS: lambda scale: ours.pretraining(scale, "single", "lm1b").side(),
            "peers": lambda scale: theirs.nelbo_step(ours.pretraining(scale, "single", "lm1b")),
        },
        lambda scale: f"batch {scale.lm1b.batch}",
    ),
    "redi": Case(
        "ReDi step, infinite mask",
        "lm1b",
        {OURS: lambda scale: ours.redi(scale).side(), "peers": lambda scale: theirs.nelbo_step(ours.redi(scale))},
        _lm1b_batch,
    ),
    "sdtt": Case(
        "SDTT step, infinite mask",
        "lm1b",
        {OURS: lambda scale: ours.sdtt(scale).side(), "peers": theirs.sdtt_step},
        _lm1b_batch,
    ),
    "noise": Case(
        "Noise and its MLP alone, forward and backward",
        "openwebtext",
        {OURS: ours.embedding, "peers": theirs.embedding},
        _noisy_batch,
    ),
}
