"""The packed corpus: what is known of it before, and after, it is made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from imdm.cost.network import VOCABULARIES
from imdm.errors import UserError
from imdm.params import Corpus

# Training and held-out tokens: LM1B with bert-base-uncased (0.77 B words), OpenWebText with GPT-2 (nanoGPT: 9.04 B).
_TOKENS = {"lm1b": 0.9e9, "openwebtext": 9.04e9, "pydocs": 0.7e6}
# In the hub's cache: what is downloaded and what it is unpacked to (LM1B 1.8 + 4.2 GB; OpenWebText 54 GB by nanoGPT).
DOWNLOAD_BYTES = {"lm1b": 6e9, "openwebtext": 54e9, "pydocs": 0, "files": 0}
_BYTES_PER_TOKEN = 4


@dataclass(frozen=True)
class Packed:
    """Tokens and vocabulary of a packed corpus."""

    tokens: float
    vocab_size: int


def folder(corpus: Corpus) -> Path:
    """Where tokenize_pack writes."""
    return Path("data") / f"{corpus.name}-{corpus.packing}-{corpus.seq_len}"


def packed(corpus: Corpus, root: Path) -> Packed:
    """From dataset.json where it is there, else from what is known of the corpus and its tokenizer.

    Raises:
        UserError: the tokenizer is not one of those whose vocabulary is known.
    """
    made = root / folder(corpus) / "dataset.json"
    if made.is_file():
        found = json.loads(made.read_text(encoding="utf-8"))
        return Packed(sum(split["blocks"] for split in found["splits"].values()) * found["seq_len"], found["vocab_size"])
    name = Path(corpus.tokenizer).name
    if corpus.tokenizer != "trained" and name not in VOCABULARIES:
        raise UserError(f"the vocabulary of corpus.tokenizer {corpus.tokenizer!r} is not known yet; run stages/tokenize_pack.py first.")
    if corpus.name == "files":
        tokens = sum(Path(path).stat().st_size for path in glob(corpus.path, recursive=True)) / _BYTES_PER_TOKEN
    else:
        tokens = _TOKENS[corpus.name]
    return Packed(tokens, corpus.vocab_size if corpus.tokenizer == "trained" else VOCABULARIES[name])
