"""Which part of the experiment a document belongs to.

The judge learns from its own documents, so that it is no copy of what the models learn from.
"""

from __future__ import annotations

import hashlib

from imdm.errors import UserError
from imdm.params import Corpus

SPLITS = ("train", "judge", "valid", "test")


class Splitter:
    """Assigns documents to splits by a hash of their text: neither order nor number of the others matters,
    and equal documents stay together.

    Args:
        corpus: gives the fractions; train gets the rest.
        seed: seeds.data.

    Raises:
        UserError: nothing is left for train.
    """

    def __init__(self, corpus: Corpus, seed: int):
        fractions = {"test": corpus.test_fraction, "valid": corpus.valid_fraction, "judge": corpus.judge_fraction}
        if sum(fractions.values()) >= 1:
            names = " + ".join(f"corpus.{name}_fraction" for name in reversed(fractions))
            raise UserError(f"{names} = {sum(fractions.values()):g} leaves nothing to train on; make the sum less than 1.")
        self._salt = hashlib.sha256(f"split:{seed}".encode()).digest()
        self._bounds: list[tuple[float, str]] = []
        bound = 0.0
        for name, fraction in fractions.items():
            bound += fraction
            self._bounds.append((bound * 2.0**64, name))

    def __call__(self, document: str) -> str:
        """The split of a document: train, judge, valid or test."""
        digest = hashlib.blake2b(document.encode(), digest_size=8, key=self._salt).digest()
        place = int.from_bytes(digest, "little")
        return next((name for bound, name in self._bounds if place < bound), "train")
