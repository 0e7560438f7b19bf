"""What is known of corpus, tokenizer, network and judge before they are there."""

from __future__ import annotations

import contextlib
from glob import glob
from pathlib import Path

from imdm.errors import UserError
from imdm.network.config import NetworkConfig
from imdm.network.sizes import JudgeSizes, Sizes
from imdm.params import PUBLIC, TEACHER, Corpus, Judge, Params
from imdm.params.names import ORACLE

# Training and held-out tokens: LM1B with bert-base-uncased (0.77 B words), OpenWebText with GPT-2 (nanoGPT: 9.04 B).
_TOKENS = {"lm1b": 0.9e9, "openwebtext": 9.04e9, "pydocs": 0.7e6}
# In the hub's cache: what is downloaded and what it is unpacked to (LM1B 1.8 + 4.2 GB; OpenWebText 54 GB by nanoGPT).
DOWNLOAD_BYTES = {"lm1b": 6e9, "openwebtext": 54e9}
_BYTES_PER_TOKEN = 4
_DOCUMENTS, _TOKENS_PER_DOCUMENT = 1_000_000, 200  # of a data set of the hub, of which nothing is known
_VOCABULARIES = {"bert-base-uncased": 30_522, "gpt2": 50_258}  # BERT has a mask token of its own, GPT-2 gets one more row
# Width and blocks by name, GPT-2's, and of `make judge`; GPT-2's longest input and vocabulary.
_GPT2 = {"gpt2": (768, 12), "gpt2-medium": (1024, 24), "gpt2-large": (1280, 36), "gpt2-xl": (1600, 48), "smollm2": (576, 30)}
_LONGEST, _VOCABULARY = 1024, 50_257


def dataset_file(corpus: Corpus, root: Path) -> Path:
    """What tokenize_pack writes."""
    return root / "data" / corpus.folder / "dataset.json"


def packed(corpus: Corpus, root: Path, unknown: int | None) -> tuple[float, int]:
    """Tokens and vocabulary of a packed corpus, from dataset.json or, before it is there, from what is known of such a corpus.

    Args:
        unknown: the vocabulary to take for one that is not known.

    Raises:
        UserError: the tokenizer is not one of those whose vocabulary is known.
    """
    from imdm.data.blocks import Dataset  # numpy, which not every start of Snakemake needs
    from imdm.languages import open_language

    with contextlib.suppress(UserError):  # the estimate must not stop what makes a damaged one again
        data = Dataset.open(dataset_file(corpus, root))
        return sum(split["blocks"] for split in data.splits.values()) * data.seq_len, data.vocab_size
    name = Path(corpus.tokenizer).name
    vocabulary = corpus.vocab_size if corpus.tokenizer == "trained" else _VOCABULARIES.get(name, unknown)
    if vocabulary is None:
        raise UserError(f"the vocabulary of corpus.tokenizer {corpus.tokenizer!r} is not known yet; run stages/tokenize_pack.py first.")
    if corpus.name == "language":
        return corpus.texts * corpus.seq_len, open_language(corpus, corpus.seq_len).vocab_size
    if corpus.name in _TOKENS:
        tokens = _TOKENS[corpus.name]
    elif corpus.name == "hub":
        tokens = _TOKENS_PER_DOCUMENT * (corpus.limit or _DOCUMENTS)
    else:
        tokens = sum(Path(path).stat().st_size for path in glob(corpus.path or "", recursive=True)) / _BYTES_PER_TOKEN
    return tokens, vocabulary


def network_sizes(params: Params, model: str, vocab_size: int) -> Sizes:
    """A model's network; the teacher and public checkpoints have a single mask. An oracle counts as the teacher."""
    variant = model.partition("/")[0]
    masks = {"mask": "single"} if variant in (TEACHER, ORACLE, PUBLIC) else params.mask_settings(variant).model_dump()
    return Sizes(NetworkConfig(**params.network.model_dump(), **masks, vocab_size=vocab_size, mask_id=0, seq_len=params.corpus.seq_len))


def judge_sizes(judge: Judge, vocab_size: int) -> JudgeSizes:
    """The judge of an experiment; one that is no GPT-2 by name is counted as GPT-2 Large, a language as what would be trained."""
    if judge.stage != "load_judge":
        return JudgeSizes(judge.hidden_size, judge.blocks, vocab_size, 0)
    width, blocks = _GPT2.get(Path((judge.model or "").partition("@")[0]).name, _GPT2["gpt2-large"])
    return JudgeSizes(width, blocks, _VOCABULARY, _LONGEST)
