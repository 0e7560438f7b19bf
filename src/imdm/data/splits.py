"""Which part of the experiment a document belongs to.

The judge learns from its own documents, so that it is no copy of what the models learn from.
"""

from __future__ import annotations

import hashlib

from imdm.errors import UserError
from imdm.params import Corpus

SPLITS = ("train", "judge", "valid", "test")
HAVE_HELD_OUT = ("lm1b", "openwebtext")  # corpora that come with their own held-out documents


class Splitter:
    """Assigns documents to splits by a hash of their text: neither order nor number of the others matters,
    and equal documents stay together. Those of a language are independent draws, and go by their numbers. Where the corpus has
    held-out documents of its own, these are for validation but for the share of test, and the judge has its share of the others.

    Args:
        corpus: gives the fractions; train (or valid, of the held-out documents) gets the rest.
        seed: seeds.data.

    Attributes:
        used: the splits that must get documents.

    Raises:
        UserError: nothing is left for train or valid.
    """

    def __init__(self, corpus: Corpus, seed: int):
        fractions = {"test": corpus.test_fraction, "valid": corpus.valid_fraction, "judge": corpus.judge_fraction}
        if corpus.name in HAVE_HELD_OUT:
            parts = {False: ("train", ["judge"]), True: ("valid", ["test"])}
        else:
            parts = {False: ("train", list(fractions))}
        self._independent = corpus.name == "language"
        self._salt = hashlib.sha256(f"split:{seed}".encode()).digest()
        self._parts: dict[bool, tuple[str, list[tuple[float, str]]]] = {}
        self.used: set[str] = set()
        for held_out, (rest, names) in parts.items():
            bound, bounds = 0.0, []
            for name in names:
                bound += fractions[name]
                bounds.append((bound * 2.0**64, name))
            if bound >= 1:
                keys = " + ".join(f"corpus.{name}_fraction" for name in reversed(names))
                purpose = "validate" if held_out else "train"
                raise UserError(f"{keys} = {bound:g} leaves nothing to {purpose} on; make it less than 1.")
            self._parts[held_out] = rest, bounds
            self.used |= {rest, *(name for name in names if fractions[name] > 0)}

    def __call__(self, document: str, held_out: bool = False, number: int = 0) -> str:
        """The split of a document, the `number`-th of the corpus: train, judge, valid or test."""
        rest, bounds = self._parts[held_out]
        key = str(number) if self._independent else document
        digest = hashlib.blake2b(key.encode(), digest_size=8, key=self._salt).digest()
        place = int.from_bytes(digest, "little")
        return next((name for bound, name in bounds if place < bound), rest)


def too_small(corpus: Corpus, name: str, tokens: int) -> UserError:
    """The error for a split that has so many tokens, which fill no block."""
    name_and_path = f"{corpus.name} {corpus.path!r}" if corpus.path else corpus.name
    remedies = {"train": "add text", "valid": "add held-out text"} if corpus.name in HAVE_HELD_OUT else {"train": "add text"}
    if corpus.name == "openwebtext":
        remedies = {"train": "add text, lower corpus.valid_documents", "valid": "raise corpus.valid_documents"}
    remedy = remedies.get(name, f"add text, raise corpus.{name}_fraction")
    return UserError(
        f"the {name} split of corpus {name_and_path} has {tokens} tokens, too few for one block of corpus.seq_len = {corpus.seq_len}; "
        f"{remedy} or lower corpus.seq_len."
    )
