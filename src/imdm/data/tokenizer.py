"""The tokenizer of a corpus: trained on it, a language's own words, or BERT's or GPT-2's.

All end as a `tokenizers.Tokenizer` that adds no special tokens and has one token for BOS and EOS at once and one mask:
- byte-level BPE (trained here, or GPT-2's): `<|endoftext|>` and `<|mask|>`; a vocabulary without a mask gets it as its last id,
  so GPT-2 has V = 50,258 and mask 50,257;
- BERT's WordPiece: `[CLS]` (101) and `[MASK]` (103) within V = 30,522. MDLM and its successors take EOS from
  `encode("[SEP]")[0]`, which is `[CLS]`; their packed LM1B holds no other separator.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from imdm.errors import UserError
from imdm.files import require_regular, said
from imdm.languages import open_language
from imdm.params import Corpus

END, MASK = "<|endoftext|>", "<|mask|>"
MIN_VOCABULARY = 1 + 256 + 1  # END, the bytes, MASK
MAX_VOCABULARY = 2**16  # ids are stored as uint16
_BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_LONG = re.compile(r"\S{1000}|\s{1000}")
_END_AND_MASK = ((END, MASK), ("[CLS]", "[MASK]"))


def limit_threads(workers: int) -> None:
    """Let the tokenizer use `workers` threads; has an effect only before its first use in the process."""
    os.environ["RAYON_NUM_THREADS"] = str(workers)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if workers > 1 else "false"


def make_tokenizer(corpus: Corpus, documents: Iterable[str]) -> Tokenizer:
    """The tokenizer that `corpus.tokenizer` names.

    Args:
        documents: training text, read only where the tokenizer is to be trained.

    Raises:
        UserError: as `open_language`, `train_bpe` and `load_tokenizer` do.
    """
    if corpus.name == "language":
        return word_level(open_language(corpus, corpus.seq_len).words)
    if corpus.tokenizer == "trained":
        return train_bpe(documents, corpus.vocab_size)
    return load_tokenizer(corpus.tokenizer)


def train_bpe(documents: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE: any text goes in and comes back unchanged. END (BOS and EOS at once) has id 0, MASK the last id.

    Args:
        documents: training text, read once.
        vocab_size: both special tokens included. Fewer come out where the text has too few pairs to merge.

    Raises:
        UserError: vocab_size is out of range.
    """
    if not MIN_VOCABULARY <= vocab_size <= MAX_VOCABULARY:
        reason = "hold all bytes and two special tokens" if vocab_size < MIN_VOCABULARY else "fit in 16 bits"
        raise UserError(f"corpus.vocab_size = {vocab_size} must {reason}; choose one from {MIN_VOCABULARY} to {MAX_VOCABULARY}.")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((piece for document in documents for piece in bounded(document)), trainer)
    add_special(tokenizer, MASK)
    return as_text(tokenizer)


def bounded(document: str) -> list[str]:
    """A document, cut where it has a thousand characters with no white space among them, or nothing else.

    Training takes time in proportion to the longest word times the vocabulary: 50 MB without a blank would never end.
    """
    ends = [match.end() for match in _LONG.finditer(document)]
    return [document[start:end] for start, end in zip([0, *ends], [*ends, len(document)])] if ends else [document]


def word_level(words: list[str]) -> Tokenizer:
    """A token a word, between blanks, in this order, then END and MASK; an unknown word is read as the first."""
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token=words[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    add_special(tokenizer, END, MASK)
    return as_text(tokenizer)


def add_special(tokenizer: Tokenizer, *tokens: str) -> None:
    """Make tokens special; those that the vocabulary lacks get the next ids."""
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens])


def as_text(tokenizer: Tokenizer) -> Tokenizer:
    """Makes a document that spells a special token be read as those characters, so that no document holds a mask."""
    tokenizer.encode_special_tokens = True
    return tokenizer


def load_tokenizer(name: str) -> Tokenizer:
    """BERT's or GPT-2's tokenizer, or another of these two kinds.

    Args:
        name: a folder with tokenizer.json, with vocab.txt (lower-cased as bert-base-uncased), or with vocab.json and merges.txt;
            else an id on the hub.

    Raises:
        UserError: it can't be had, or has neither kind of special tokens.
    """
    folder = Path(name).expanduser()
    tokenizer = _from_folder(folder) if folder.is_dir() else _from_hub(name)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.post_processor = None  # BERT's would put [CLS] and [SEP] around every text
    if tokenizer.token_to_id(END) is not None and tokenizer.token_to_id(MASK) is None:
        add_special(tokenizer, MASK)
    return _checked(tokenizer, f"corpus.tokenizer = {name!r}")


def read_tokenizer(path: Path) -> Tokenizer:
    """Read the tokenizer.json that tokenize_pack wrote. Raises UserError: the file is missing, or no such tokenizer."""
    require_regular(path, "run tokenize_pack")
    return _checked(_from_file(path), str(path))


def end_and_mask(tokenizer: Tokenizer) -> tuple[int, int]:
    """Ids of the token that is BOS and EOS at once and of the mask. Raises ValueError: there is neither kind."""
    for names in _END_AND_MASK:
        end, mask = map(tokenizer.token_to_id, names)
        if end is not None and mask is not None:
            return end, mask
    raise ValueError("it has no end-of-text token and mask of a known kind")


def _from_file(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the Rust library raises bare Exception for whatever it can't parse
        raise UserError(f"{path} is not a tokenizer ({said(error)}); fetch or make it again.") from None


def _from_folder(folder: Path) -> Tokenizer:
    if (folder / "tokenizer.json").is_file():
        return _from_file(folder / "tokenizer.json")
    wordpiece, vocabulary, merges = folder / "vocab.txt", folder / "vocab.json", folder / "merges.txt"
    try:
        if wordpiece.is_file():
            tokenizer = Tokenizer(models.WordPiece.from_file(str(wordpiece), unk_token="[UNK]"))
            tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
            tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
            tokenizer.decoder = decoders.WordPiece()
            add_special(tokenizer, *(token for token in _BERT_SPECIAL if tokenizer.token_to_id(token) is not None))
            return tokenizer
        if vocabulary.is_file() and merges.is_file():
            tokenizer = Tokenizer(models.BPE.from_file(str(vocabulary), str(merges)))
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            tokenizer.decoder = decoders.ByteLevel()
            if tokenizer.token_to_id(END) is not None:
                add_special(tokenizer, END)
            return tokenizer
    except Exception as error:  # bare Exception, as above
        raise UserError(f"the vocabulary in {folder} can't be read ({said(error)}); fetch it again.") from None
    raise UserError(f"corpus.tokenizer = {str(folder)!r} holds no tokenizer.json, no vocab.txt, and not both vocab.json and merges.txt.")


def _from_hub(name: str) -> Tokenizer:
    try:
        return Tokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:  # not there, no connection, or no valid id
        reason = said(str(error).split(". ")[0])
        files = "tokenizer.json, vocab.txt, or vocab.json and merges.txt"
        raise UserError(
            f"corpus.tokenizer = {name!r} is no folder and can't be had from the hub ({reason}); give a folder with {files}."
        ) from None


def _checked(tokenizer: Tokenizer, origin: str) -> Tokenizer:
    """The tokenizer, reading special tokens that a document spells as plain text.

    Raises:
        UserError: it lacks special tokens, has too many tokens or gaps, or doesn't read them so.
    """
    try:
        special = end_and_mask(tokenizer)
    except ValueError:
        kinds = f"neither {END} (as GPT-2) nor [CLS] and [MASK] (as BERT)"
        raise UserError(f"{origin} has {kinds} in its vocabulary; give a tokenizer of one of these kinds.") from None
    vocabulary = tokenizer.get_vocab()
    size = max(vocabulary.values()) + 1
    if len(vocabulary) != size or size > MAX_VOCABULARY:
        fault = f"has {size} tokens, and ids are stored in 16 bits" if size > MAX_VOCABULARY else "has ids without a token"
        raise UserError(f"{origin} {fault}; give another tokenizer.")
    as_text(tokenizer)
    spelt = " ".join(token for names in _END_AND_MASK for token in names)
    try:
        ids = tokenizer.encode(spelt, add_special_tokens=False).ids
    except Exception as error:  # bare Exception, as when its own token for the unknown is not in its vocabulary
        raise UserError(f"{origin} can't read a text ({said(error)}); give another tokenizer.") from None
    if not {*special}.isdisjoint(ids):
        raise UserError(f"{origin} has special tokens that aren't marked as special, so that a document could hold a mask; mark them.")
    return tokenizer
