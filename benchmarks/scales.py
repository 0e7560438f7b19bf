"""Sizes at which the cases are run."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Corpus:
    """Vocabulary and length of a corpus, and how much of it a case works on.

    Attributes:
        vocab_size, mask_id: of the tokenizer: GPT-2's with the mask added, or BERT's.
        noise_dim: d_noise of the paper's networks for this corpus.
        batch: sequences of a training step.
        rows: sequences that are generated.
    """

    vocab_size: int
    mask_id: int
    seq_len: int
    noise_dim: int
    batch: int
    rows: int


@dataclass(frozen=True)
class Scale:
    """A network and its two corpora.

    Attributes:
        network: sizes of the network.
        steps: N of the sampler.
        coupling_steps: N of the couplings' teacher.
        measured: steps of the predecessors' sampler that are timed where N steps would take too long.
    """

    network: dict[str, int]
    openwebtext: Corpus
    lm1b: Corpus
    steps: int
    coupling_steps: int
    measured: int


SCALES = {
    # For tests: sizes at which everything is over at once.
    "toy": Scale(
        {"hidden_size": 16, "blocks": 2, "heads": 2, "cond_dim": 8},
        Corpus(67, 66, 12, 6, 4, 2),
        Corpus(67, 3, 8, 6, 16, 2),
        steps=3,
        coupling_steps=16,
        measured=1,
    ),
    # Real vocabularies and noise, a small network and shorter blocks: minutes on two cores.
    "quick": Scale(
        {"hidden_size": 256, "blocks": 4, "heads": 4, "cond_dim": 128},
        Corpus(50_258, 50_257, 256, 2048, 4, 2),
        Corpus(30_522, 103, 128, 768, 8, 4),
        steps=16,
        coupling_steps=1024,
        measured=2,
    ),
    # The network `small` of MDLM, SDTT, Duo and IMDM at its own lengths.
    "small": Scale(
        {"hidden_size": 768, "blocks": 12, "heads": 12, "cond_dim": 128},
        Corpus(50_258, 50_257, 1024, 2048, 1, 1),
        Corpus(30_522, 103, 128, 768, 8, 2),
        steps=8,
        coupling_steps=1024,
        measured=2,
    ),
}
# The same network with batches that keep a GPU of 80 GB busy.
SCALES["gpu"] = replace(
    SCALES["small"],
    openwebtext=replace(SCALES["small"].openwebtext, batch=32, rows=16),
    lm1b=replace(SCALES["small"].lm1b, batch=256, rows=128),
    steps=64,
    measured=4,
)
SCALES["small64"] = replace(SCALES["small"], steps=64)  # for the cases that sample
