"""Texts from templates with tied slots: a slot's value shows at several places at once, each value equally likely.

Given the template its slots are independent, so that sums over all texts are products of sums over a slot's values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from imdm.languages.language import Language, likelihood, log_sum, places

_NEGLIGIBLE = 40.0  # nats: a template less likely than e^-40 of all is left out of marginals


class Slot(NamedTuple):
    """Places that are filled together.

    Attributes:
        positions: in the block, int64 [k].
        tokens: what each of the m values, all different, shows there, int64 [m, k].
    """

    positions: np.ndarray
    tokens: np.ndarray


class Templates(Language):
    """Equally likely templates; no two of them have a text in common.

    Args:
        words: by token id.
        templates: slots of each; EOS stands where no slot is.
        seq_len: L.
    """

    def __init__(self, words: list[str], templates: Sequence[Sequence[Slot]], seq_len: int):
        self.words, self.seq_len = words, seq_len
        self.templates = []
        for slots in templates:
            frame = np.setdiff1d(np.arange(seq_len), np.concatenate([slot.positions for slot in slots]))
            self.templates.append([*slots, Slot(frame, np.full((1, len(frame)), self.end))])
        self.counts = [math.prod(len(slot.tokens) for slot in slots) for slots in self.templates]
        self.entropy = math.log(len(templates)) + sum(map(math.log, self.counts)) / len(templates)
        self.text_tokens = sum(len(slot.positions) for slots in templates for slot in slots) / len(templates)
        identity = np.eye(self.vocab_size)
        self._shown = [[identity[slot.tokens].reshape(len(slot.tokens), -1) for slot in slots] for slots in self.templates]

    def draw(self, draws: np.random.Generator, count: int) -> np.ndarray:
        chosen, blocks = draws.integers(len(self.templates), size=count), np.empty((count, self.seq_len), np.int64)
        for number, slots in enumerate(self.templates):
            rows = (chosen == number).nonzero()[0]
            for slot in slots:
                blocks[rows[:, None], slot.positions] = slot.tokens[draws.integers(len(slot.tokens), size=len(rows))]
        return blocks

    def _infer(self, z: np.ndarray, hit: float, miss: float, wanted: bool) -> tuple[np.ndarray, np.ndarray | None]:
        scores, totals = [], []
        for slots in self.templates:
            scores.append([self._scores(slot, z, hit, miss) for slot in slots])
            totals.append(sum(map(log_sum, scores[-1]), np.zeros(len(z))) - math.log(len(self.templates)))
        total = log_sum(np.stack(totals), 0)
        if not wanted:
            return total, None
        marginals = np.zeros((*z.shape, self.vocab_size))
        for slots, shown, of_slots, of_template in zip(self.templates, self._shown, scores, totals, strict=True):
            rows = (of_template > total - _NEGLIGIBLE).nonzero()[0]
            chance = np.exp(of_template[rows] - total[rows])[:, None]
            for slot, tokens, score in zip(slots, shown, of_slots, strict=True):
                weights = chance * np.exp(score[rows] - log_sum(score[rows])[:, None])
                marginals[rows[:, None], slot.positions] += (weights @ tokens).reshape(len(rows), len(slot.positions), self.vocab_size)
        return total, marginals

    def _scores(self, slot: Slot, z: np.ndarray, hit: float, miss: float) -> np.ndarray:
        """ln of P(value) P(seen | value), [n, m]."""
        seen = likelihood(z[:, None, slot.positions], slot.tokens, self.vocab_size, hit, miss)
        return seen.sum(-1) - math.log(len(slot.tokens))


def draw_words(count: int, length: int, letters: int, seq_len: int, seed: int) -> Templates:
    """Different words, uniform over all such sets. Raises ValueError: L is too short for one."""
    draws = np.random.default_rng([seed, count, length, letters])
    codes: list[int] = []
    while len(codes) < count:  # rejection of words that are there already
        codes = list(dict.fromkeys([*codes, *draws.integers(letters**length, size=count).tolist()]))
    alphabet = [chr(ord("a") + letter) for letter in range(letters)]
    texts = np.array(codes[:count])[:, None] // letters ** np.arange(length) % letters
    return Templates(alphabet, [[Slot(places(length, seq_len), texts)]], seq_len)
