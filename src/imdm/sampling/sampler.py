"""The sampler: ancestral sampling of p(z_s | z_t) over N steps, doing no more than its result needs.

Which positions are unmasked in which step does not depend on the network, so it is drawn first:

- the head, the softmax and the float64 draw run once a position, in its own step, whatever N is;
- a step in which a row unmasks nothing needs no network call: rows go from event to event of their own,
  so that the batch stays full (a row needs at most as many calls as it has masked positions);
- keys of Eq. 13 are redrawn between a row's events with the product of the skipped steps' probabilities;
- with a single mask, no latent and nothing unmasked yet, all rows look alike: one is enough.

A network with a latent (Di4C) gets a fresh one in each call, so a step without a call needs none.
All draws are functions of (row seed, position, step): batch size and sharding change nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from imdm.diffusion.counter import Stream, bits, uniform
from imdm.diffusion.noise import carried_uniforms
from imdm.diffusion.posterior import keep_probability
from imdm.diffusion.schedule import time_grid
from imdm.diffusion.states import initial_masks, is_masked, key_of, mask_where, to_state
from imdm.models.dit import Network
from imdm.sampling.categorical import draw


@dataclass
class Samples:
    """What the sampler returns.

    Attributes:
        tokens: int64 [B, L].
        unmasked_at: step in which each position was unmasked, int64 [B, L]; -1 where it was visible.
        calls: network calls that each row needed, int64 [B], at most the number of steps.
    """

    tokens: Tensor
    unmasked_at: Tensor
    calls: Tensor


def unmasking_steps(u: Tensor, steps: int) -> Tensor:
    """The step in which each position is unmasked, from uniforms (...): int64, uniform on 0..N-1.

    With equal steps that is the sampler's law, since P(unmask in a step | masked) = 1 - s/t.
    """
    return (u * steps).long().clamp(max=steps - 1)


@torch.inference_mode()
def sample(
    network: Network,
    seeds: Tensor,
    steps: int,
    start: Tensor | None = None,
    visible: tuple[Tensor, Tensor] | None = None,
    temperature: float = 1.0,
    mask_redraw: str = "posterior",
    draws: str = "independent",
    on_call: Callable[[Tensor], None] | None = None,
) -> Samples:
    """Sample one sequence a seed.

    Args:
        network: in eval mode.
        seeds: int64 [B], one a sequence; initial keys and all draws come from it.
        steps: N; the last step unmasks all that is left.
        start: time at which each sequence starts, float64 [B]; default 1.
        visible: (mask bool [B, L], tokens int64 [B, L]): positions that are given (prefix, infill, perturbed block).
        temperature: of the token draw.
        mask_redraw: "posterior" (Eq. 13) or "keep" (keys stay for the whole trajectory).
        draws: "independent"; "from_noise": order and tokens are read from the initial keys, so that the text is a
            function of the noise; "from_noise_in_order": the tokens alone, the order is left to right.
        on_call: called with the states after every network call.
    """
    config, device = network.config, seeds.device
    length, vocab = config.seq_len, config.vocab_size
    if visible is None:
        z = initial_masks(seeds, length, vocab)
    else:
        z = mask_where(visible[1], ~visible[0], seeds, vocab)
    masked = is_masked(z, vocab)
    positions = torch.arange(z.shape[1], device=device)
    if draws == "independent":
        order_u = uniform(bits(seeds[:, None], Stream.UNMASK, positions))
        token_u = uniform(bits(seeds[:, None], Stream.TOKEN, positions))
    else:
        order_u, token_u = carried_uniforms(key_of(z, vocab))
        if draws == "from_noise_in_order":
            order_u = ((positions + 0.5) / z.shape[1]).expand_as(token_u)
    unmasked_at = torch.where(masked, unmasking_steps(order_u, steps), -1)
    times = time_grid(steps, torch.ones(len(seeds), dtype=torch.float64, device=device) if start is None else start)

    calls = torch.zeros(len(seeds), dtype=torch.int64, device=device)
    now = torch.zeros(len(seeds), dtype=torch.int64, device=device)  # the step to which each row's keys belong
    redraw = mask_redraw == "posterior" and draws == "independent" and config.mask != "single"
    alike = config.mask == "single" and config.latent_hidden is None and visible is None
    while True:
        pending = torch.where(is_masked(z, vocab), unmasked_at, steps)
        event = pending.amin(dim=1)
        rows = (event < steps).nonzero().squeeze(1)
        if len(rows) == 0:
            break
        if redraw:
            z[rows] = _redraw_keys(z[rows], seeds[rows], times[rows], now[rows], event[rows], vocab)
        now[rows] = event[rows]
        chosen = (pending[rows] == event[rows, None]).flatten().nonzero().squeeze(1)
        if alike:  # the first call: no row has a token yet
            local = chosen % z.shape[1]
            needed, inverse = local.unique(return_inverse=True)
            logits = network(z[:1], needed)[inverse]
        else:
            latent = None if config.latent_hidden is None else uniform(bits(seeds[rows], Stream.LATENT, event[rows]))
            logits = network(z[rows], chosen, latent)
        alike = False
        at = (rows[chosen // z.shape[1]], chosen % z.shape[1])
        z[at] = draw(logits, token_u[at], temperature)
        calls[rows] += 1
        if on_call is not None:
            on_call(z)
    return Samples(z, unmasked_at, calls)


def _redraw_keys(z: Tensor, seeds: Tensor, times: Tensor, now: Tensor, event: Tensor, vocab: int) -> Tensor:
    """Keys of rows that go from step `now` to step `event`: kept with probability alpha_t / alpha_s, else fresh."""
    t, s = (times.gather(1, step[:, None]) for step in (now, event))
    coordinates = (event[:, None], torch.arange(z.shape[1], device=z.device))
    fresh = to_state(bits(seeds[:, None], Stream.FRESH, *coordinates), vocab)
    stays = uniform(bits(seeds[:, None], Stream.REDRAW, *coordinates)) < keep_probability(t, s)
    return torch.where(is_masked(z, vocab) & ~stays, fresh, z)
