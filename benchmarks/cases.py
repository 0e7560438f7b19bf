"""What is compared: each case by name, with its sides. Ours is the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch

from benchmarks import ours, theirs
from benchmarks.scales import Scale
from benchmarks.side import Side

OURS = "ours"


def _on_gpu(**sides: Callable[[Scale], Side]) -> dict[str, Callable[[Scale], Side]]:
    """Further sides of ours that differ on a GPU alone, labelled by their difference."""
    return {f"{OURS}, {name.replace('_', ' ')}": side for name, side in sides.items()} if torch.cuda.is_available() else {}


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


def _step(title: str, task: Callable[[Scale], ours.Task], corpus: str, detail: Callable[[Scale], str]) -> Case:
    """A training with the loss of pretraining and ReDi."""
    sides = {OURS: lambda scale: task(scale).side(), "peers": lambda scale: theirs.nelbo_step(task(scale))}
    return Case(title, corpus, sides, detail)


def _any(task: ours.Task) -> Side:
    """A side whose networks need not be those of the other."""
    return replace(task.side(), network=None, teacher=None)


CASES = {
    "sample": Case(
        "Sampling, single mask",
        "openwebtext",
        {
            OURS: partial(ours.sampling, mask="single"),
            **_on_gpu(CUDA_graphs=partial(ours.sampling, mask="single", cuda_graphs=True)),
            "peers": partial(theirs.sampling, mask="single"),
            "peers, float32": partial(theirs.sampling, mask="single", dtype=torch.float32),
        },
        _generated,
    ),
    "sample-noise": Case(
        "Sampling, infinite mask",
        "openwebtext",
        {
            OURS: partial(ours.sampling, mask="infinite"),
            **_on_gpu(CUDA_graphs=partial(ours.sampling, mask="infinite", cuda_graphs=True)),
            "peers": partial(theirs.sampling, mask="infinite"),
        },
        lambda scale: f"{_generated(scale)}, d_noise {scale.openwebtext.noise_dim:,}",
    ),
    "couple": Case(
        "Perturbed couplings",
        "lm1b",
        {
            OURS: ours.coupling,
            **_on_gpu(no_CUDA_graphs=partial(ours.coupling, cuda_graphs=False)),
            "peers": partial(theirs.coupling, cached=False),
            "peers, cached": partial(theirs.coupling, cached=True),
            "peers, cached, float32": partial(theirs.coupling, cached=True, dtype=torch.float32),
        },
        lambda scale: f"{scale.lm1b.rows} pairs, {scale.coupling_steps:,} steps",
    ),
    "pretrain": _step("Pretraining step, single mask", partial(ours.pretraining, mask="single"), "openwebtext", _openwebtext_batch),
    "pretrain-noise": _step("Pretraining step, infinite mask", partial(ours.pretraining, mask="infinite"), "openwebtext", _noisy_batch),
    "pretrain-short": _step(
        "Pretraining step, single mask, LM1B",
        partial(ours.pretraining, mask="single", corpus="lm1b"),
        "lm1b",
        lambda scale: f"batch {scale.lm1b.batch}",
    ),
    "redi": _step("ReDi step, infinite mask", ours.redi, "lm1b", _lm1b_batch),
    "sdtt": Case(
        "SDTT step, infinite mask",
        "lm1b",
        {OURS: lambda scale: ours.sdtt(scale).side(), "peers": theirs.sdtt_step},
        _lm1b_batch,
    ),
    "keyed": Case(
        "Keyed step, Gumbel masks, beside SDTT's",
        "lm1b",
        {OURS: lambda scale: _any(ours.keyed(scale)), "SDTT, infinite mask": lambda scale: _any(ours.sdtt(scale))},
        _lm1b_batch,
    ),
    "candidates": Case(
        "Gumbel noise as a mask shows it, forward and backward",
        "openwebtext",
        {OURS: ours.candidates, "peers, V Gumbels and a dense layer": theirs.dense_gumbels},
        _openwebtext_batch,
    ),
    "noise": Case(
        "Noise and its MLP alone, forward and backward",
        "openwebtext",
        {OURS: ours.embedding, "peers": theirs.embedding},
        _noisy_batch,
    ),
}
