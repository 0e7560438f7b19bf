"""The data of a synthetic task: words, each as likely as the others, one token a letter."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from imdm.diffusion.counter import root_seed


@dataclass(frozen=True)
class Words:
    """K different words of L letters; the data distribution is uniform over them.

    Attributes:
        table: int64 [K, L], values 0 .. letters-1.
        letters: size of the alphabet. The mask token is the next id, so that a network's vocabulary has letters + 1 rows.
    """

    table: Tensor
    letters: int

    def __len__(self) -> int:
        return len(self.table)

    @property
    def length(self) -> int:
        return self.table.shape[1]

    @property
    def vocab_size(self) -> int:
        return self.letters + 1

    def batch(self, seed: int, step: int, count: int) -> Tensor:
        """Words of a training step, int64 [count, L], each as often as the others whatever the seed.

        Times are in the order of the rows; the shift brings every word to every time.
        """
        return self.table[(torch.arange(count) + 2 * step) % len(self)]

    def index(self, x: Tensor) -> Tensor:
        """Which word each row of tokens [n, L] is, int64 [n]; -1 where it is none."""
        nearest = self.nearest(x)
        return torch.where((self.table[nearest] == x).all(1), nearest, -1)

    def nearest(self, x: Tensor) -> Tensor:
        """The word that differs from each row of tokens [n, L] least, of several the one that differs later: int64 [n]."""
        weights = 1 + 2.0 ** -torch.arange(2, self.length + 2)
        return ((x[:, None] != self.table) * weights).sum(-1).argmin(1)

    def expected_distinct(self, draws: int) -> float:
        """How many different words so many draws from the data hold on average."""
        return len(self) * -math.expm1(draws * math.log1p(-1 / len(self))) if len(self) > 1 else 1.0


BINARY = Words(torch.tensor([[0, 0], [1, 1]]), letters=2)  # the paper's task, Tables 1 and 2


def draw_words(count: int, length: int, letters: int, seed: int) -> Words:
    """`count` different words, uniform over all such sets; at most letters^length."""
    generator = torch.Generator().manual_seed(root_seed(seed, f"words:{count}:{length}:{letters}"))
    place = letters ** torch.arange(length)
    codes: list[int] = []
    while len(codes) < count:  # rejection of words that are there already
        codes = list(dict.fromkeys(codes + torch.randint(letters**length, (count,), generator=generator).tolist()))[:count]
    return Words(torch.tensor(codes)[:, None] // place % letters, letters)
