"""The diffusion transformer of MDLM, SDTT, Di4C and IMDM, with their parameter names.

- Rotary positions over the full head, bidirectional attention through torch's SDPA.
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
from imdm.network.candidates import Candidates
from imdm.network.config import NetworkConfig
from imdm.network.mask_embedding import StateEmbedding

_FREQUENCIES = 256  # of the time embedding
_LATENT_FREQUENCIES = 64
# Also where a network is built on the meta device for its shapes: there these calls import torch's compiler, a second of every stage.
_HERE = "cpu"
Kernel = Callable[..., Any]  # a function of tensors
NEVER = -1e6  # log-weight of the mask token: probability exactly 0, and finite, so that 0 * log 0 is 0 in a divergence


def at_least_float32(x: Tensor) -> Tensor:
    """bfloat16 to float32; wider types as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class LayerNorm(nn.Module):
    """Layer norm in float32 with a weight and no bias, modulated."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """norm(x) * weight * (1 + scale) + shift of [B, L, d]; scale and shift [1 or B, 1, d]."""
        x, weight = at_least_float32(x), self.weight * (1 + scale)
        if len(weight) == 1:  # one pass over x, which is also all that a backward pass needs
            return F.layer_norm(x, self.weight.shape, weight.flatten().to(x.dtype), shift.flatten().to(x.dtype))
        return F.layer_norm(x, self.weight.shape) * weight + shift


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


class Rotary(nn.Module):
    """What `rotate` multiplies a head and its swapped halves by, [L, head_dim] each: (cos, cos) and (-sin, sin)."""

    inv_freq: Tensor

    def __init__(self, head_dim: int):
        super().__init__()
        self.register_buffer("inv_freq", 10_000.0 ** (-torch.arange(0, head_dim, 2, device=_HERE) / head_dim))

    def forward(self, length: int) -> tuple[Tensor, Tensor]:
        angles = torch.arange(length, device=self.inv_freq.device)[:, None] * self.inv_freq
        cos, sin = angles.cos(), angles.sin()
        return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate [B, L, 2, heads, head_dim] by position with `Rotary`'s tables; the halves of the head pair up (GPT-NeoX layout)."""
    cos, sin = (table[:, None, None].to(x.dtype) for table in (cos, sin))
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


@cache
def compiled(kernel: Kernel) -> Kernel:
    """A kernel that torch compiles when it is first called, once for all numbers of rows."""
    return torch.compile(kernel, dynamic=True)


def modulation(layer: nn.Linear, condition: Tensor, parts: int) -> tuple[Tensor, ...]:
    return layer(condition)[:, None, :].chunk(parts, dim=-1)


def attention(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """Attention of [B, heads, L, head_dim]; on a CPU in float32, since the backward pass in bfloat16 takes twenty times as long there."""
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    q, k, v = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (q, k, v))
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)


class Block(nn.Module):
    """Pre-norm transformer block with adaLN."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        width = config.hidden_size
        self.heads, self.dropout, self.softcap = config.heads, config.dropout, config.softcap
        self.norm1 = LayerNorm(width)
        self.attn_qkv = nn.Linear(width, 3 * width, bias=False)
        self.attn_out = nn.Linear(width, width, bias=False)
        self.norm2 = LayerNorm(width)
        widen, narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.mlp = nn.Sequential(widen, nn.GELU(approximate="tanh"), narrow)
        self.adaLN_modulation = nn.Linear(config.cond_dim, 6 * width)
        if config.init_std is not None:
            for layer in (self.attn_qkv, self.attn_out, widen, narrow):
                nn.init.normal_(layer.weight, std=config.init_std)

    def forward(self, x: Tensor, condition: Tensor, cos: Tensor, sin: Tensor, causal: bool) -> Tensor:
        """[B, L, d] to [B, L, d]; condition [1 or B, cond_dim]."""
        shift1, scale1, gate1, shift2, scale2, gate2 = modulation(self.adaLN_modulation, condition, 6)
        attended = self.attend(self.norm1(x, scale1, shift1), cos, sin, causal)
        x = torch.addcmul(x, gate1, F.dropout(self.attn_out(attended), self.dropout, self.training))
        return torch.addcmul(x, gate2, F.dropout(self.mlp(self.norm2(x, scale2, shift2)), self.dropout, self.training))

    def attend(self, h: Tensor, cos: Tensor, sin: Tensor, causal: bool) -> Tensor:
        qkv = self.attn_qkv(h).unflatten(-1, (3, self.heads, -1))
        q, k = rotate(qkv[:, :, :2], cos, sin).transpose(1, 3).unbind(2)
        v = qkv[:, :, 2].transpose(1, 2)
        if self.softcap is None:
            out = attention(q, k, v, causal)
        else:
            scores = q @ k.mT / math.sqrt(q.shape[-1])
            scores = self.softcap * torch.tanh(scores / self.softcap)
            if causal:
                scores = scores.masked_fill(torch.ones(scores.shape[-2:], device=h.device).triu(1).bool(), -math.inf)
            out = scores.softmax(-1) @ v
        return out.transpose(1, 2).flatten(2)


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
            self.positions = nn.Parameter(0.02 * torch.randn(config.seq_len, config.hidden_size, device=_HERE))
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
        """The head without SUBS: [B, L, d] to [B, L, V], or rows [n, d] to [n, V] where sigma is None."""
        by_row = h.dim() == 2
        with self._autocast():
            out = self.output_layer(h[None] if by_row else h, self.condition(sigma))
        return at_least_float32(out[0] if by_row else out)

    def rows(self, z: Tensor, positions: Tensor, latent: Tensor | None = None, masked: Tensor | None = None) -> Tensor:
        """The body's output at flat indices `positions` [n] into B*L: [n, d]. `masked` as in `hidden`."""
        return self.hidden(z, latent=latent, masked=masked).flatten(0, 1)[positions]

    def before_head(self, rows: Tensor) -> Tensor:
        """What the projection to the vocabulary takes, [n, d]."""
        with self._autocast():
            return self.output_layer.modulated(rows[None], self.condition())[0]

    def subs(self, rows: Tensor) -> Tensor:
        """Logits under SUBS of rows [n, d]: the mask token never gets probability. [n, V], at least float32."""
        logits = self.logits(rows)
        logits[:, self.config.mask_id] = NEVER
        return logits

    def forward(self, z: Tensor, positions: Tensor, latent: Tensor | None = None) -> Tensor:
        """Logits of chosen positions under SUBS.

        Visible positions need no logits: SUBS copies them.

        Args:
            z: states int64 [B, L].
            positions: flat indices into B*L, int64 [n].
            latent: in (0, 1), one a sequence [B]; None for a network without a latent.

        Returns:
            [n, V] in float32 (float64 for a float64 network).
        """
        return self.subs(self.rows(z, positions, latent))
