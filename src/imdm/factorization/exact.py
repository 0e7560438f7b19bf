"""Exact total correlations of data that can be listed: the paper's Eq. 6 at the data's own marginals, and Theorem 4.1.

The sampler's law: each position's step is uniform on 0..N-1, whatever the data. In step j a position is visible with
probability j/N, written now with 1/N, and later with (N-1-j)/N.
"""

from __future__ import annotations

import itertools

import numpy as np


class SubsetEntropies:
    """Entropies of every subset of the positions of words int [K, L], all equally likely; the work grows as 3^L."""

    def __init__(self, words: np.ndarray):
        self.length = words.shape[1]
        self._of = {0: 0.0}
        for subset in range(1, 1 << self.length):
            counts = np.unique(words[:, [i for i in range(self.length) if subset >> i & 1]], axis=0, return_counts=True)[1]
            rates = counts / len(words)
            self._of[subset] = -float((rates * np.log(rates)).sum())

    def conditional(self, of: int, given: int) -> float:
        """H(x_of | x_given) in nats; subsets of positions are bit masks."""
        return self._of[of | given] - self._of[given]

    def correlation(self, now: int, visible: int) -> float:
        """Conditional total correlation of the positions `now` given `visible`: sum of their entropies minus the joint one."""
        alone = sum(self.conditional(1 << i, visible) for i in range(self.length) if now >> i & 1)
        return alone - self.conditional(now, visible)

    def total_correlation(self, steps: int) -> float:
        """Sum over the N transitions of E[TC(z_s | z_t)]: what a single-mask model with the right marginals errs by, in nats."""
        total = 0.0
        for pattern in itertools.product(range(3), repeat=self.length):  # 0 visible, 1 now, 2 later
            visible, now = (sum(1 << i for i, kind in enumerate(pattern) if kind == wanted) for wanted in (0, 1))
            seen, opened, later = (pattern.count(kind) for kind in range(3))
            if opened > 1:
                chance = sum((j / steps) ** seen * ((steps - 1 - j) / steps) ** later for j in range(steps)) / steps**opened
                total += chance * self.correlation(now, visible) if chance else 0.0
        return total

    def theorem_bound(self, steps: int) -> float:
        """Sum over the N transitions of Theorem 4.1's bound: max over pairs of p(e_ij) I(z_s^i; z_s^j | z_t without i and j)."""
        total = 0.0
        for j in range(steps):
            share = j / steps
            total += max(self._information(pair, share) for pair in itertools.combinations(range(self.length), 2)) / steps**2
        return total

    def _information(self, pair: tuple[int, int], share: float) -> float:
        """I(x_i; x_j | the visible of the other positions), each visible with probability `share`."""
        others, both = [i for i in range(self.length) if i not in pair], sum(1 << i for i in pair)
        information = 0.0
        for seen in itertools.product((False, True), repeat=len(others)):
            chance = share ** sum(seen) * (1 - share) ** (len(others) - sum(seen))
            if chance:
                information += chance * self.correlation(both, sum(1 << i for i, is_seen in zip(others, seen, strict=True) if is_seen))
        return information
