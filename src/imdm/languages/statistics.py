"""What follows from a language's marginals: pairs of tokens, and the total correlation of what N steps write."""

from __future__ import annotations

import math

import numpy as np

from imdm.languages.language import Language


def pair_statistics(language: Language) -> tuple[np.ndarray, np.ndarray]:
    """P(token, next token) over all neighbours [V, V], and I(x_i; x_j) of all pairs of positions [L, L] in nats."""
    length, size = language.seq_len, language.vocab_size
    nothing = np.full((1, length), size)
    single = language.marginals(nothing)[0]
    bigrams, given = np.zeros((size, size)), np.zeros((length, length))  # H(x_j | x_i)
    for place in range(length):
        possible = single[place].nonzero()[0]
        seen = nothing.repeat(len(possible), 0)
        seen[:, place] = possible
        others, chance = language.marginals(seen), single[place, possible]
        given[place] = chance @ _entropy(others)
        if place + 1 < length:
            bigrams[possible] += chance[:, None] * others[:, place + 1] / (length - 1)
    return bigrams, _entropy(single) - given


def total_correlation(language: Language, steps: int, count: int, seed: int) -> tuple[float, float]:
    """Sum over the N transitions of E[TC(z_s | z_t)], nats a block, and its standard error.

    What a model with one mask and the right marginals errs by. The joint entropies of the steps add up to that of the block, by the
    chain rule; the marginals' entropies are exact given what is visible, and a mean over `count` texts and orders. In one step
    nothing is visible, so that there is no error.
    """
    draws = np.random.default_rng([seed, steps])
    blocks = language.draw(draws, count if steps > 1 else 1)
    at, alone = draws.integers(steps, size=blocks.shape), np.zeros(len(blocks))
    for step in range(steps):
        marginals = language.marginals(np.where(at < step, blocks, language.vocab_size))
        alone += (_entropy(marginals) * (at == step)).sum(1)
    return float(alone.mean() - language.entropy), float(alone.std() / math.sqrt(len(alone)))


def _entropy(p: np.ndarray) -> np.ndarray:
    """In nats, over the last axis."""
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(-1)
