"""A network's sizes in numbers: parameters, floating-point operations, bytes.

An operation is an addition or a multiplication, so a matrix product of [m, k] and [k, n] takes 2 m k n. Norms,
activations, softmax and rotary embeddings are left out, as in torch.utils.flop_counter.
"""

from __future__ import annotations

from dataclasses import dataclass

from imdm.network.config import NetworkConfig
from imdm.params import Optimizer

_FREQUENCIES = 256  # of the time embedding
# Bytes a parameter. Training: weight, gradient, two Adam moments and moving average in float32, a copy in bfloat16.
TRAINING, INFERENCE = 22, 6
TRAINED_FILE, LOADED_FILE, RESUME_FILE = 8, 4, 16  # online and moving average; one set; both and Adam's moments
# Bytes a logit: of a chunk of the head, its loss and gradient; with the target of a teacher and the gap to it; of a
# mixture, whose loss holds those of all its latents; of a float64 draw.
_NLL_LOGIT, _KL_LOGIT, _MIXTURE_LOGIT, _DRAW_LOGIT = 8, 24, 24, 44
CHUNK, DRAW_CHUNK = 2**27, 2**25  # most logits that a training and a draw hold at once on a GPU
_ACTIVATION = 40  # bytes a token and unit of width that a forward pass holds at once


@dataclass(frozen=True)
class Pass:
    """What goes through a network: rows through the body, single positions through head and mask embedding."""

    rows: float  # sequences of L tokens
    heads: float  # positions whose logits are computed
    masked: float  # masked positions that are embedded
    calls: float  # each of which evaluates the constant conditioning once


class Sizes:
    """Counts for one network."""

    def __init__(self, config: NetworkConfig):
        self.config = config

    @property
    def mask_parameters(self) -> int:
        """Of the mask embedding: MLP d_noise -> 4d -> d without output bias, the table of finite masks, or the attention to candidates."""
        config, d = self.config, self.config.hidden_size
        if config.mask == "finite":
            return config.finite_masks * d
        if config.mask == "gumbel":
            return config.blocks * (2 * d + (d * d + d) + d * d + 1)
        return (config.noise_dim * 4 * d + 4 * d) + 4 * d * d if config.mask == "infinite" else 0

    @property
    def parameters(self) -> int:
        """All parameters, embedding, head and mask embedding included."""
        config, d, c = self.config, self.config.hidden_size, self.config.cond_dim
        sigma = (_FREQUENCIES * c + c) + (c * c + c)
        block = 2 * d + 4 * d * d + (4 * d * d + 4 * d) + (4 * d * d + d) + (6 * d * c + 6 * d)
        head = d + (d * config.vocab_size + config.vocab_size) + (2 * d * c + 2 * d)
        positions = config.seq_len * d if config.learned_positions else 0
        return config.vocab_size * d + self.mask_parameters + sigma + config.blocks * block + head + positions

    @property
    def row_flops(self) -> float:
        """Body, one sequence: 24 d^2 a token and block for the matrices, 4 L d for the attention's two products."""
        config, d, length = self.config, self.config.hidden_size, self.config.seq_len
        return config.blocks * length * (24 * d * d + 4 * length * d)

    @property
    def head_flops(self) -> float:
        """Head, one position: 2 d V."""
        return 2 * self.config.hidden_size * self.config.vocab_size

    @property
    def mask_flops(self) -> float:
        """One masked position: noise MLP, 2 (4 d d_noise + 4 d^2); m candidates, 4 (d + m) d a block. Other masks are looked up."""
        config, d = self.config, self.config.hidden_size
        if config.mask == "gumbel":
            return config.blocks * 4 * (d + config.noise_dim) * d
        return 8 * d * (config.noise_dim + d) if config.mask == "infinite" else 0

    @property
    def call_flops(self) -> float:
        """Conditioning, one call: time embedding (body and head each), adaLN of every block and of the head."""
        config, d, c = self.config, self.config.hidden_size, self.config.cond_dim
        return 2 * (2 * (_FREQUENCIES * c + c * c) + config.blocks * 6 * d * c + 2 * d * c)

    def forward(self, work: Pass) -> float:
        """Operations of a forward pass; a training step takes 3 times as many (a backward pass is 2)."""
        return work.rows * self.row_flops + work.heads * self.head_flops + work.masked * self.mask_flops + work.calls * self.call_flops

    def saved_bytes(self, logit_bytes: float) -> float:
        """What one sequence of a training pass keeps on the GPU, with the body in bfloat16 and half of it masked.

        A token keeps 48.4 d bytes a block (measured with torch.autograd.graph.saved_tensors_hooks), and with a soft
        cap the attention's matrix too, 4 bytes a head and pair.

        Args:
            logit_bytes: for each logit of a masked position.
        """
        config = self.config
        scores = 4 * config.heads * config.seq_len if config.softcap else 0
        body = config.blocks * (48.4 * config.hidden_size + scores)
        return config.seq_len * (body + 0.5 * config.vocab_size * logit_bytes)

    def training_bytes(self, rows: int, taught: bool, mixture: bool) -> float:
        """What a training holds on a GPU that passes `rows` sequences at once; of a mixture, the loss holds all logits."""
        logit = _KL_LOGIT if taught and not mixture else _NLL_LOGIT
        weights = self.parameters * (TRAINING + INFERENCE * taught)
        return weights + rows * self.saved_bytes(_MIXTURE_LOGIT * mixture) + logit * min(CHUNK, rows * self._half_logits)

    def evaluation_bytes(self, rows: int, chunked: bool = True) -> float:
        """What the loss of `rows` sequences holds without gradients; not chunked, with all their logits besides."""
        return self._forward_bytes(rows) + _NLL_LOGIT * (min(CHUNK, rows * self._half_logits) + (not chunked) * rows * self._half_logits)

    def drawing_bytes(self, rows: int, draws: float) -> float:
        """What a sampler of `rows` sequences holds that draws so many tokens a call."""
        return self._forward_bytes(rows) + _DRAW_LOGIT * min(DRAW_CHUNK, draws * self.config.vocab_size)

    def _forward_bytes(self, rows: int) -> float:
        return self.parameters * INFERENCE + rows * self.config.seq_len * self.config.hidden_size * _ACTIVATION

    @property
    def _half_logits(self) -> float:
        """Logits of a half masked sequence."""
        return self.config.seq_len / 2 * self.config.vocab_size


@dataclass(frozen=True)
class JudgeSizes:
    """Counts for a judge, a GPT-2: width, blocks and vocabulary, learned positions and a head tied to the embedding."""

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


def judge_step(judge: JudgeSizes, rows: float, length: int) -> float:
    """Operations of a training step of a judge on `rows` sequences of `length` tokens."""
    return 3 * rows * length * judge.token_flops(length)


def step_flops(sizes: Sizes, settings: Optimizer, step: int, rows: float, passes: float = 1, round_number: int = 1) -> float:
    """Operations of one step of a training: the count behind both the MFU and the cost estimate.

    Forward and backward take 3 forward passes. How often a teacher is read, and what is masked, are the settings' to say.

    Args:
        step: from 0; the first ones may be next-token prediction.
        rows: sequences of the batch.
        passes: parts in which they go through the network.
        round_number: of a training that has rounds, from 1.
    """
    if step < settings.next_token_steps:  # logits at all positions, and no masks
        return 3 * sizes.forward(Pass(rows, rows * sizes.config.seq_len, 0, passes))
    rows, masked = rows * settings.rows_per_sequence, settings.masked_share
    flops = 3 * noised(sizes, rows, passes, masked)
    by_teacher = settings.teacher_passes(round_number)
    if by_teacher:  # which together compute each masked position's logits once
        heads = rows * sizes.config.seq_len * masked
        flops += sizes.forward(Pass(by_teacher * rows, heads, by_teacher * heads, by_teacher * passes))
    return flops


def noised(sizes: Sizes, rows: float, calls: float, masked: float = 0.5) -> float:
    """Forward operations of `rows` sequences of whose positions a share is masked, a half where noise levels are uniform."""
    heads = rows * sizes.config.seq_len * masked
    return sizes.forward(Pass(rows, heads, heads, calls))
