"""The categorical draw: inverse CDF in float64, one uniform a token; or by what a mask's key carries, a uniform or Gumbel noise.

float32 Gumbel noise cuts the tail off (lower entropy and Gen-PPL than the model's). Here a token's share of the unit
interval is a multiple of 2^-62, summed as an integer: events of probability 1e-7 and less are as frequent as they should
be, the order in which a device adds changes nothing, and what has no share can't be drawn. The token is found in two
levels, first its group of about sqrt(V) tokens, so that no cumulative sum runs over the whole vocabulary.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from imdm.diffusion.noise import carried_uniform
from imdm.diffusion.race import candidates, exponentials
from imdm.network.network import Network

_UNIT = 2.0**62
# Logits that are projected and drawn from at once: on a CPU what its caches hold, on a GPU enough to keep it busy.
CHUNK = {"cpu": 2**22, "cuda": 2**25}


def draw(logits: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
    """Token of each row: the first whose cumulative probability exceeds u, so that tokens grow with u.

    Args:
        logits: [n, V]; -1e6 or less for impossible tokens.
        u: float64 [n] in (0, 1), or [n, k] for k tokens of each row.

    Returns:
        int64, in the shape of u.
    """
    rows, vocab = logits.shape
    size = math.isqrt(vocab - 1) + 1
    groups = -(-vocab // size)
    weights = logits.new_zeros(rows, groups * size, dtype=torch.float64)
    inside = weights[:, :vocab].copy_(logits)
    inside.sub_(logits.amax(-1, keepdim=True))
    if temperature != 1:
        inside.div_(temperature)
    inside.exp_()
    weights = weights.view(rows, groups, size)
    group, rest = _pick(weights.sum(-1), u if u.dim() == 2 else u[:, None])
    members = weights[torch.arange(rows, device=u.device)[:, None], group]
    member, _ = _pick(members.flatten(0, 1), rest.flatten()[:, None])
    return group.view(u.shape) * size + member.view(u.shape)


def draw_tokens(network: Network, rows: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
    """`draw` from the network's predictions at rows [n, d] of the body's output, a chunk at a time: the logits of all never exist."""
    vocab = network.config.vocab_size
    each = vocab + u[:1].numel() * math.isqrt(vocab)  # numbers that one position holds: weights, and a group for each token
    size = max(1, CHUNK[rows.device.type] // each)
    return torch.cat([draw(network.subs(part), v, temperature) for part, v in zip(rows.split(size), u.split(size), strict=True)])


def draw_by_key(network: Network, rows: Tensor, keys: Tensor, temperature: float = 1.0) -> Tensor:
    """`draw_tokens` with what the keys [n] (or [n, k], where they carry a uniform) of the masks decide: a function of rows and keys.

    Where masks have candidates the key carries Gumbels G: argmax of log p / temperature + G over the whole vocabulary.
    """
    config = network.config
    if config.mask != "gumbel":
        return draw_tokens(network, rows, carried_uniform(keys), temperature)
    size, proposal, tokens = max(1, CHUNK[rows.device.type] // config.vocab_size), network.candidates.proposal, []
    for part, key in zip(rows.split(size), keys.split(size), strict=True):
        e = exponentials(key, *candidates(key, config.noise_dim, proposal), proposal)
        tokens.append((network.subs(part).double().div_(temperature) - e.log_()).argmax(-1))
    return torch.cat(tokens)


def _pick(weights: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the weight [n, m] in which each u [n, k] falls, and how far into it, as a share of it in (0, 1); both [n, k]."""
    shares = (weights * (_UNIT / weights.sum(-1, keepdim=True))).long()
    cumulative = shares.cumsum(-1)
    total = cumulative[:, -1:]
    target = torch.minimum((u * total).long(), total - 1)  # the product may round up to the total
    index = torch.searchsorted(cumulative, target, right=True)
    share = shares.gather(1, index)
    before = cumulative.gather(1, index) - share
    return index, ((target - before).double() + 0.5) / share
