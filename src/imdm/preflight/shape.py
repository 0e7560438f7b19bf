"""A network's sizes in numbers: parameters, floating-point operations, bytes.

An operation is an addition or a multiplication, so a matrix product of [m, k] and [k, n] takes 2 m k n. Norms,
activations, softmax and rotary embeddings are left out, as in torch.utils.flop_counter.
"""

from __future__ import annotations

from dataclasses import dataclass

from imdm.models.config import NetworkConfig
from imdm.params import Params

_FREQUENCIES = 256  # of the time embedding
# Known before the tokenizer is there: BERT has a mask token of its own, GPT-2 gets one more row.
VOCABULARIES = {"bert-base-uncased": 30_522, "gpt2": 50_258}


def network_config(params: Params, variant: str | None, vocab_size: int) -> NetworkConfig:
    """The network of a variant; of the teacher (single mask) where `variant` is None."""
    masks = params.mask_settings(variant).model_dump() if variant else {"mask": "single"}
    return NetworkConfig(**params.network.model_dump(), **masks, vocab_size=vocab_size, mask_id=0, seq_len=params.corpus.seq_len)


@dataclass(frozen=True)
class Pass:
    """What goes through a network: rows through the body, single positions through head and mask embedding.

    Attributes:
        rows: sequences of L tokens through the body.
        heads: positions whose logits are computed.
        masked: masked positions that are embedded.
        calls: network calls, each of which evaluates the constant conditioning once.
    """

    rows: float
    heads: float
    masked: float
    calls: float


class Shape:
    """Counts for one network."""

    def __init__(self, config: NetworkConfig):
        self.config = config

    @property
    def mask_parameters(self) -> int:
        """Of the mask embedding: MLP d_noise -> 4d -> d without output bias, or the table of finite masks."""
        config, d = self.config, self.config.hidden_size
        if config.mask == "finite":
            return config.finite_masks * d
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
        """Noise MLP, one masked position: 2 (4 d d_noise + 4 d^2). Other masks are looked up."""
        config, d = self.config, self.config.hidden_size
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

        A token keeps 66.4 d bytes a block (measured with torch.autograd.graph.saved_tensors_hooks), and with a soft
        cap the attention's matrix too, 4 bytes a head and pair.

        Args:
            logit_bytes: for each logit of a masked position.
        """
        config = self.config
        scores = 4 * config.heads * config.seq_len if config.softcap else 0
        body = config.blocks * (66.4 * config.hidden_size + scores)
        return config.seq_len * (body + 0.5 * config.vocab_size * logit_bytes)
