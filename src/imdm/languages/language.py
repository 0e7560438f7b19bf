"""What the models of a synthetic task need to know of its data."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Language(Protocol):
    """A distribution over sequences of L letters.

    Attributes:
        letters: size of the alphabet. The mask token is the next id.
        length: L.
        vocab_size: rows of a network's vocabulary, letters + 1.
    """

    @property
    def letters(self) -> int: ...

    @property
    def length(self) -> int: ...

    @property
    def vocab_size(self) -> int: ...

    def batch(self, seed: int, step: int, count: int) -> Tensor:
        """Clean sequences of a training step, int64 [count, L], a function of (seed, step)."""
        ...
