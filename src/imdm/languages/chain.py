"""Texts of a stationary Markov chain: no text of its length is impossible."""

from __future__ import annotations

import numpy as np

from imdm.languages.language import Language, likelihood, places

FLOOR = 1e-3  # least probability of a transition: no token costs more than 6.9 nats
_MOST_SCALE, _HALVINGS = 100.0, 60


class MarkovChain(Language):
    """Texts of `length` states, the first from the stationary distribution.

    Args:
        transition: P(next | state), float64 [S, S], every entry positive.

    Raises:
        ValueError: L is too short for a text.
    """

    def __init__(self, transition: np.ndarray, length: int, seq_len: int):
        self.words, self.seq_len = [f"s{state}" for state in range(len(transition))], seq_len
        self.transition, self.stationary, self.text_tokens = transition, _stationary(transition), length
        self.places = places(length, seq_len)
        self.frame = np.setdiff1d(np.arange(seq_len), self.places)
        self.entropy = -float((self.stationary * np.log(self.stationary)).sum()) + (length - 1) * entropy_rate(transition)

    def draw(self, draws: np.random.Generator, count: int) -> np.ndarray:
        blocks, u = np.full((count, self.seq_len), self.end), draws.random((count, len(self.places)))
        row = np.broadcast_to(self.stationary, (count, len(self.stationary)))
        for place, position in enumerate(self.places):
            # Without the last sum, so that rounding leads to no state that isn't there.
            blocks[:, position] = (row.cumsum(1)[:, :-1] < u[:, place, None]).sum(1)
            row = self.transition[blocks[:, position]]
        return blocks

    def _infer(self, z: np.ndarray, hit: float, miss: float, wanted: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """By forward and backward messages."""
        states = np.arange(len(self.stationary))
        seen = np.exp(likelihood(z[:, self.places, None], states, self.vocab_size, hit, miss))
        total = likelihood(z[:, self.frame], np.array(self.end), self.vocab_size, hit, miss).sum(1)
        left, message = np.empty_like(seen), np.broadcast_to(self.stationary, seen[:, 0].shape)
        for place in range(len(self.places)):
            left[:, place] = message
            message, size = _normalised(message * seen[:, place])
            with np.errstate(divide="ignore"):
                total = total + np.log(size)
            message = message @ self.transition
        if not wanted:
            return total, None
        marginals, message = np.zeros((*z.shape, self.vocab_size)), np.ones_like(seen[:, 0])
        for place in reversed(range(len(self.places))):
            message = message * seen[:, place]
            marginals[:, self.places[place], : len(states)] = _normalised(left[:, place] * message)[0]
            message = _normalised(message)[0] @ self.transition.T
        marginals[:, self.frame, self.end] = 1.0
        marginals[~np.isfinite(total)] = 0.0
        return total, marginals


def _normalised(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    size = weights.sum(-1)
    return weights / np.where(size > 0, size, 1.0)[:, None], size


def _stationary(transition: np.ndarray) -> np.ndarray:
    system = np.concatenate([transition.T - np.eye(len(transition)), np.ones((1, len(transition)))])
    return np.linalg.lstsq(system, np.eye(len(transition) + 1)[-1], rcond=None)[0]


def entropy_rate(transition: np.ndarray) -> float:
    """Entropy of a state given the one before it, in nats."""
    return -float((_stationary(transition)[:, None] * transition * np.log(transition)).sum())


def draw_chain(states: int, length: int, rate: float, seq_len: int, seed: int) -> MarkovChain:
    """A chain whose rows are softmax(scale * standard Gaussians), at least `FLOOR`; the scale gives the entropy rate, in nats."""
    logits = np.random.default_rng([seed, states]).standard_normal((states, states))

    def transition(scale: float) -> np.ndarray:
        weights = np.exp(scale * (logits - logits.max(1, keepdims=True)))
        return FLOOR + (1 - states * FLOOR) * weights / weights.sum(1, keepdims=True)

    low, high = 0.0, _MOST_SCALE
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if entropy_rate(transition(middle)) > rate else (low, middle)
    return MarkovChain(transition(high), length, seq_len)
