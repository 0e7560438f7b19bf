"""What every language can say of its texts, exactly.

A text is a block of L tokens, as `tokenize_pack` writes it: BOS, the words, EOS up to the end. All questions are one: how likely
is what is seen of a text, and which texts may it be? What is seen may be noisy: a visible token is the text's own with probability
1 - noise + noise / V, and each other token with noise / V. Without noise that is the language itself; with a little of it every
block has a finite likelihood, which falls by about ln(V / noise) for each token that would have to be changed.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np

_ROWS = 256  # blocks whose marginals are made at once


class Language(ABC):
    """A distribution over blocks.

    Attributes:
        words: the tokens' texts by id; EOS, which is BOS too, and the mask follow them.
        seq_len: L.
        vocab_size: V, the mask included, which is the last id.
        entropy: of a block, in nats.
        text_tokens: mean number of words of a text.
    """

    words: list[str]
    seq_len: int
    entropy: float
    text_tokens: float

    @property
    def vocab_size(self) -> int:
        return len(self.words) + 2

    @property
    def end(self) -> int:
        return len(self.words)

    @abstractmethod
    def draw(self, draws: np.random.Generator, count: int) -> np.ndarray:
        """Independent blocks, int64 [count, L]."""

    @abstractmethod
    def _infer(self, z: np.ndarray, hit: float, miss: float, wanted: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """ln P of what is seen [n], and where it is `wanted` P(token of the text | what is seen) [n, L, V].

        Args:
            z: tokens [n, L]; the mask and all ids above it are not seen.
            hit, miss: logarithms of P(seen token | the text's), where they are equal and where they are not.
        """

    def log_probability(self, z: np.ndarray, noise: float = 0.0) -> np.ndarray:
        """ln P of blocks, or of what is seen of them: float64 [n], -inf where no text has it.

        Args:
            z: int [n, L or less]; the mask id and those above it, and positions that are left out, are not seen.
            noise: probability that a visible token is replaced by a uniform one.
        """
        return np.concatenate([total for total, _ in self._split(z, noise, False)])

    def contains(self, blocks: np.ndarray) -> np.ndarray:
        """Which blocks [n, L] are texts of the language, bool [n]."""
        return np.isfinite(self.log_probability(blocks))

    def marginals(self, z: np.ndarray, noise: float = 0.0) -> np.ndarray:
        """P(token of the text | what is seen), float64 [n, L, V]; zero everywhere where no text has what is seen."""
        return np.concatenate([marginals for _, marginals in self._split(z, noise, True) if marginals is not None])

    def _split(self, z: np.ndarray, noise: float, wanted: bool) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """`_infer`, of so many blocks at a time."""
        z = np.pad(np.asarray(z, dtype=np.int64), ((0, 0), (0, self.seq_len - z.shape[1])), constant_values=self.vocab_size)
        with np.errstate(divide="ignore"):
            hit, miss = np.log([1 - noise + noise / self.vocab_size, noise / self.vocab_size])
        return [self._infer(z[first : first + _ROWS], hit, miss, wanted) for first in range(0, len(z), _ROWS)]

    def text(self, block: np.ndarray) -> str:
        """The words of a block, with a blank between."""
        return " ".join(self.words[token] for token in block if token < self.end)


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


def places(words: int, seq_len: int) -> np.ndarray:
    """The positions of a text of so many words in its block. Raises ValueError: the block is too short."""
    if words + 2 > seq_len:
        raise ValueError(f"a text has up to {words} words, and BOS and EOS; make corpus.seq_len at least {words + 2}")
    return np.arange(1, words + 1)


def log_sum(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """ln of the sum of exp, -inf of nothing but -inf."""
    largest = values.max(axis, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(values - largest).sum(axis)) + largest.squeeze(axis)


def likelihood(z: np.ndarray, tokens: np.ndarray, vocab_size: int, hit: float, miss: float) -> np.ndarray:
    """ln P(seen | text's token), 0 where nothing is seen; z and tokens broadcast."""
    return np.where(z >= vocab_size - 1, 0.0, np.where(z == tokens, hit, miss))
