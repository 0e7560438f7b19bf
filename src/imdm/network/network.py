"""The diffusion transformer of MDLM, SDTT, Di4C and IMDM, with their parameter names.

- adaLN modulation by a time embedding, which all these systems feed with sigma = 0: a learned constant.
- LayerNorms without bias; zero-initialised gates and head.
- The body runs on every position, the head on the positions that someone needs.
- Di4C appends a latent as one more token, which has no position and no output.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imdm.diffusion.noise import coordinates
from imdm.network.block import HERE, Block, LayerNorm, Rotary, at_least_float32, modulation
from imdm.network.config import NetworkConfig
from imdm.network.mask_embedding import Candidates, StateEmbedding

_FREQUENCIES = 256  # of the time embedding
_LATENT_FREQUENCIES = 64
Kernel = Callable[..., Any]  # a function of tensors
NEVER = -1e6  # log-weight of the mask token: probability exactly 0, and finite, so that 0 * log 0 is 0 in a divergence


class TimeEmbedding(nn.Module):
    """sigma to a conditioning vector: 128 cosines, 128 sines, two linear layers."""

    def __init__(self, width: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(_FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, sigma: Tensor) -> Tensor:
        half = _FREQUENCIES // 2
        rates = torch.exp(-math.log(10_000) * torch.arange(half, device=sigma.device) / half)
        angles = sigma[:, None].float() * rates
        return F.silu(self.mlp(torch.cat([angles.cos(), angles.sin()], dim=-1).to(self.mlp.get_parameter("0.weight").dtype)))


def latent_features(latent: Tensor) -> Tensor:
    """Latents in (0, 1) [B] to [B, 128]: 64 sines and 64 cosines of 1000 times the latent (Di4C's public code)."""
    rates = torch.exp(-math.log(10_000) * torch.arange(_LATENT_FREQUENCIES, device=latent.device) / (_LATENT_FREQUENCIES - 1))
    angles = 1000 * latent[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


@cache
def compiled(kernel: Kernel) -> Kernel:
    """A kernel that torch compiles when it is first called, once for all numbers of rows."""
    return torch.compile(kernel, dynamic=True)


class FinalLayer(nn.Module):
    """The head: norm, modulation, projection to the vocabulary; works on any set of positions."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        width = config.hidden_size
        self.norm_final = LayerNorm(width)
        self.linear = nn.Linear(width, config.vocab_size)
        self.adaLN_modulation = nn.Linear(config.cond_dim, 2 * width)

    def modulated(self, h: Tensor, condition: Tensor) -> Tensor:
        """What the projection takes, [B, L, d]."""
        shift, scale = modulation(self.adaLN_modulation, condition, 2)
        return self.norm_final(h, scale, shift)

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        return self.linear(self.modulated(h, condition))


class Network(nn.Module):
    """x_theta: states to logits of the clean tokens.

    Args:
        config: sizes and mask settings.
        body_dtype: autocast dtype of blocks and head; None for the weights' own.
    """

    def __init__(self, config: NetworkConfig, body_dtype: torch.dtype | None = None):
        super().__init__()
        self.config, self.body_dtype, self.compiled, self.cuda_graphs = config, body_dtype, False, False
        self.vocab_embed = StateEmbedding(config)
        self.sigma_map = TimeEmbedding(config.cond_dim)
        self.rotary_emb = Rotary(config.hidden_size // config.heads)
        blocks = [Block(config) for _ in range(config.blocks)]
        self.blocks = nn.ModuleList(blocks)
        self.output_layer = FinalLayer(config)
        if config.mask == "gumbel":
            self.candidates = Candidates(config)
        for layer in (*(block.adaLN_modulation for block in blocks), self.output_layer.adaLN_modulation, self.output_layer.linear):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        if config.learned_positions:
            self.positions = nn.Parameter(0.02 * torch.randn(config.seq_len, config.hidden_size, device=HERE))
        if config.latent_hidden is not None:
            first = nn.Linear(2 * _LATENT_FREQUENCIES, config.latent_hidden)
            self.latent_projection = nn.Sequential(first, nn.GELU(), nn.Linear(config.latent_hidden, config.hidden_size))

    def compile_blocks(self, cuda_graphs: bool = False) -> None:
        """Compile block by block, which all share one compiled code, the noise and `fused` kernels; weights keep their names.

        Args:
            cuda_graphs: record the blocks as CUDA graphs; for calls without gradient and with sigma = 0 alone.
        """
        self.compiled, self.cuda_graphs = True, cuda_graphs
        self.vocab_embed.coordinates = self.fused(coordinates)
        if cuda_graphs:
            from torch._inductor import config  # takes a second to import

            config.triton.cudagraph_dynamic_shape_warn_limit = None  # of a batch's 16 sizes (sampling.plan)
        for block in self.blocks:
            block.compile(mode="reduce-overhead" if cuda_graphs else None)

    def fused(self, kernel: Kernel) -> Kernel:
        """A function of tensors as one pass over them where this network is compiled, else as it is."""
        return compiled(kernel) if self.compiled else kernel

    def lower_weights(self) -> None:
        """Keep what autocast would convert in each call, matrices of blocks and head, in the body's precision: the same bits.

        For a network that is only read.
        """
        if self.body_dtype is not None:
            for part in (*self.blocks, self.output_layer):
                for layer in (module for module in part.modules() if isinstance(module, nn.Linear)):
                    layer.to(self.body_dtype)

    def _autocast(self) -> contextlib.AbstractContextManager[None]:
        if self.body_dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.vocab_embed.embedding.device.type, self.body_dtype)

    def condition(self, sigma: Tensor | None = None) -> Tensor:
        """The conditioning vector [B, cond_dim]; [1, cond_dim] for sigma = 0, as every system here runs it."""
        device = self.vocab_embed.embedding.device
        return self.sigma_map(torch.zeros(1, device=device) if sigma is None else sigma)

    def hidden(
        self, z: Tensor, sigma: Tensor | None = None, causal: bool = False, latent: Tensor | None = None, masked: Tensor | None = None
    ) -> Tensor:
        """The body: states int64 [B, L], and latents in (0, 1) [B] where the network has one, to [B, L, d].

        Args:
            masked: flat indices of the masked positions, where the caller knows them.

        Raises:
            ValueError: a latent is missing, or the network has none.
        """
        if (latent is None) != (self.config.latent_hidden is None):
            raise ValueError("this network needs a latent" if latent is None else "this network has no latent")
        x = self.vocab_embed(z, masked)
        if self.config.learned_positions:
            x = x + self.positions[: z.shape[1]]
        condition = self.condition(sigma)
        cos, sin = self.rotary_emb(z.shape[1])
        if latent is not None:
            features = latent_features(latent).to(self.latent_projection.get_parameter("0.weight").dtype)
            x = torch.cat([x, self.latent_projection(features)[:, None]], dim=1)
            cos, sin = F.pad(cos, (0, 0, 0, 1), value=1.0), F.pad(sin, (0, 0, 0, 1))  # the last token is not rotated
        if self.cuda_graphs:
            torch.compiler.cudagraph_mark_step_begin()  # once a call: else each block would free the output of the one before
        with self._autocast():
            reads = self.config.mask == "gumbel" and self.candidates.read
            shown = self.candidates.shown(z, masked, self.vocab_embed.embedding) if reads else None
            for number, block in enumerate(self.blocks):
                if shown:
                    x = self.candidates(number, x, shown)
                x = block(x, condition, cos, sin, causal)
        if self.cuda_graphs:
            x = x.clone()  # the next call writes where this one's output lies
        return x if latent is None else x[:, :-1]

    def logits(self, h: Tensor, sigma: Tensor | None = None) -> Tensor:
        """The head without SUBS: [B, L, d] to [B, L, V], at least float32."""
        with self._autocast():
            return at_least_float32(self.output_layer(h, self.condition(sigma)))

    def rows(self, z: Tensor, positions: Tensor, latent: Tensor | None = None, masked: Tensor | None = None) -> Tensor:
        """The body's output at flat indices `positions` [n] into B*L: [n, d]. `masked` as in `hidden`."""
        return self.hidden(z, latent=latent, masked=masked).flatten(0, 1)[positions]

    def before_head(self, rows: Tensor) -> Tensor:
        """What the projection to the vocabulary takes, [n, d]."""
        with self._autocast():
            return self.output_layer.modulated(rows[None], self.condition())[0]

    def subs(self, rows: Tensor) -> Tensor:
        """Logits under SUBS of rows [n, d]: the mask token never gets probability. [n, V], at least float32."""
        logits = self.logits(rows[None])[0]
        logits[:, self.config.mask_id] = NEVER
        return logits

    def forward(self, z: Tensor, positions: Tensor, latent: Tensor | None = None) -> Tensor:
        """Logits of chosen positions under SUBS; visible ones need none, since SUBS copies them.

        Args:
            z: states int64 [B, L].
            positions: flat indices into B*L, int64 [n].
            latent: in (0, 1), one a sequence [B]; None for a network without a latent.

        Returns:
            [n, V] in float32 (float64 for a float64 network).
        """
        return self.subs(self.rows(z, positions, latent))
