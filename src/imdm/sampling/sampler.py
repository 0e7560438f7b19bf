"""The sampler: ancestral sampling of p(z_s | z_t) over N steps, doing no more than its result needs.

Which positions are unmasked in which step does not depend on the network, so it is drawn first (`plan`):

- the head and the float64 draw run once a position, in its own step, whatever N is;
- a step in which a row unmasks nothing needs no network call: rows go from event to event of their own,
  so that the batch stays full (a row needs at most as many calls as it has masked positions);
- keys of Eq. 13 are redrawn between a row's events with the product of the skipped steps' probabilities;
- with a single mask, no latent and nothing unmasked yet, all rows look alike: one row's body, and one distribution a
  position, serve the whole batch.

A network with a latent (Di4C) gets a fresh one in each call, so a step without a call needs none.
All draws are functions of (row seed, position, step): batch size and sharding change nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from imdm.diffusion.counter import Stream, bits, fold, uniform
from imdm.diffusion.posterior import keep_probability
from imdm.diffusion.schedule import time_grid
from imdm.diffusion.states import initial_masks, is_masked, key_of, mask_where, to_state
from imdm.network.network import Network
from imdm.sampling.categorical import draw_by_key, draw_tokens
from imdm.sampling.plan import dilated_order, even_steps, make_plan, unmasking_steps


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


@torch.inference_mode()
def sample(
    network: Network,
    seeds: Tensor,
    steps: int,
    start: Tensor | None = None,
    visible: tuple[Tensor, Tensor] | None = None,
    temperature: float = 1.0,
    draws: str | None = None,
    unmasking: str = "independent",
) -> Samples:
    """Sample one sequence a seed.

    Args:
        network: in eval mode; of it `config`, `rows`, `subs` and `fused` are used.
        seeds: int64 [B], one a sequence; initial keys and all draws come from it.
        steps: N; the last step unmasks all that is left.
        start: time at which each sequence starts, float64 [B]; default 1.
        visible: (mask bool [B, L], tokens int64 [B, L]): positions that are given (prefix, infill, perturbed block).
        temperature: of the token draw.
        draws: "independent"; "from_noise_in_order": tokens are read from the initial keys, so that the text is a function of the
            noise; None: as the network's config says.
        unmasking: "independent": each position's step by itself; "even": as many positions in each step, in random order;
            "dilated": as many, in `dilated_order`, as always where draws are "from_noise_in_order".
    """
    config, device = network.config, seeds.device
    draws = draws or config.draws
    times = time_grid(steps, torch.ones(len(seeds), dtype=torch.float64, device=device) if start is None else start)
    length, vocab = config.seq_len, config.vocab_size
    if visible is None:
        z = initial_masks(seeds, length, vocab)
    else:
        z = mask_where(visible[1], ~visible[0], seeds, vocab)
    masked = is_masked(z, vocab)
    positions = torch.arange(length, device=device)
    draw: Callable[[Network, Tensor, Tensor, float], Tensor]
    if draws == "independent":
        random, draw = uniform(bits(seeds[:, None], Stream.TOKEN, positions)), draw_tokens
    else:
        random, draw = key_of(z, vocab), draw_by_key
    if unmasking == "dilated" or draws != "independent":
        at = even_steps(dilated_order(length, device), masked, steps)
    else:
        order_u = uniform(bits(seeds[:, None], Stream.UNMASK, positions))
        at = even_steps(order_u, masked, steps) if unmasking == "even" else unmasking_steps(order_u, steps)
    unmasked_at = torch.where(masked, at, -1)

    redraw = draws == "independent" and config.mask != "single"
    alike = config.mask == "single" and config.latent_hidden is None and visible is None
    plan = make_plan(unmasked_at, steps)
    seeds, times, z, random = (value[plan.rows] for value in (seeds, times, z, random))
    states, at_random = z.view(-1), random.flatten()
    if redraw:
        renew, fates = network.fused(_redraw_keys), _fates(seeds, times, plan.steps[:, : len(plan.calls)])
    for number, call in enumerate(plan.calls):
        chosen, left = plan.order[call.first : call.last], plan.order[call.first :]
        if redraw:
            states[left] = renew(states, left, *(of_call[number] for of_call in fates), vocab)
        if alike and number == 0:
            drawn = torch.empty_like(z)
            drawn[:, plan.opened] = draw(network, network.rows(z[:1], plan.opened), random.T[plan.opened], temperature).T
            states[chosen] = drawn.flatten()[chosen]
        else:
            latent = None if config.latent_hidden is None else uniform(bits(seeds, Stream.LATENT, plan.steps[:, number]))[: call.rows]
            rows = network.rows(z[: call.rows], chosen, latent, left)
            states[chosen] = draw(network, rows, at_random[chosen], temperature)
    return Samples(torch.empty_like(z).index_copy(0, plan.rows, z), unmasked_at, plan.needed)


def _fates(seeds: Tensor, times: Tensor, steps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What becomes of the keys of each row's masked positions before each of its calls, [calls, B] each: bits of fresh keys, bits
    of the draws that keep one, and with which probability: alpha_t / alpha_s from the step before, s, to the call's, t.

    Args:
        steps: of each row's calls, int64 [B, calls].
    """
    before = F.pad(steps[:, :-1], (1, 0))
    fresh, stays = (bits(seeds[:, None], stream, steps).T.contiguous() for stream in (Stream.FRESH, Stream.REDRAW))
    return fresh, stays, keep_probability(times.gather(1, before), times.gather(1, steps)).T.contiguous()


def _redraw_keys(states: Tensor, left: Tensor, fresh: Tensor, stays: Tensor, keep: Tensor, vocab: int) -> Tensor:
    """The masked positions `left` of `states` before a call, with what `_fates` has for it, [B] each."""
    length = len(states) // len(fresh)
    row, position = left // length, left % length
    kept = uniform(fold(stays[row], position)) < keep[row]
    return torch.where(kept, states[left], to_state(fold(fresh[row], position), vocab))
