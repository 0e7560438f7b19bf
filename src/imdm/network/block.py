"""One transformer block: adaLN modulation, rotary positions over the full head, bidirectional attention through torch's SDPA."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imdm.network.config import NetworkConfig

# Also where a network is built on the meta device for its shapes: there these calls import torch's compiler, a second of every stage.
HERE = "cpu"


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


class Rotary(nn.Module):
    """What `rotate` multiplies a head and its swapped halves by, [L, head_dim] each: (cos, cos) and (-sin, sin)."""

    inv_freq: Tensor

    def __init__(self, head_dim: int):
        super().__init__()
        self.register_buffer("inv_freq", 10_000.0 ** (-torch.arange(0, head_dim, 2, device=HERE) / head_dim))

    def forward(self, length: int) -> tuple[Tensor, Tensor]:
        angles = torch.arange(length, device=self.inv_freq.device)[:, None] * self.inv_freq
        cos, sin = angles.cos(), angles.sin()
        return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate [B, L, 2, heads, head_dim] by position with `Rotary`'s tables; the halves of the head pair up (GPT-NeoX layout)."""
    cos, sin = (table[:, None, None].to(x.dtype) for table in (cos, sin))
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


def modulation(layer: nn.Linear, condition: Tensor, parts: int) -> tuple[Tensor, ...]:
    return layer(condition)[:, None, :].chunk(parts, dim=-1)


def attention(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """Attention of [B, heads, L, head_dim]; on a CPU in float32, since the backward pass in bfloat16 takes twenty times as long there."""
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    q, k, v = (at_least_float32(x) for x in (q, k, v))
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
