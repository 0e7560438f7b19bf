"""The memo of pieces gives the tokenizer's own ids for any text, and holds no more than it may."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from fixtures import fixture
from imdm.data.memo import Memo
from imdm.data.tokenizer import END, MASK, add_special, as_text, load_tokenizer, train_bpe

TEXT = ["Don't split the reader's words: it's slower, isn't it?", "naïve über-readers of 1,000 words and 12 files"]


def trained() -> Tokenizer:
    return train_bpe(TEXT * 9, 300)


def wordpiece() -> Tokenizer:
    """BERT's kind with a vocabulary of all ASCII letters and a few words."""
    letters = "".join(map(chr, range(33, 127)))
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters), "the", "read", "##ers", "##er"]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    add_special(tokenizer, *words[:5])
    return as_text(tokenizer)


KINDS: dict[str, Callable[[], Tokenizer]] = {
    "trained": trained,
    "wordpiece": wordpiece,
    "gpt2": lambda: load_tokenizer(str(fixture("tokenizers/gpt2"))),
    "bert": lambda: load_tokenizer(str(fixture("tokenizers/bert_base_uncased"))),
}
made = functools.cache(lambda kind: KINDS[kind]())
memo = functools.cache(lambda kind: Memo(made(kind), most=3000))  # forgets often

PARTS = [*" \n\t\r'.,_1a", "  ", "the", "Readers", "'s", "'S", "'ll", "n't", END, MASK, "[MASK]", "[CLS]", "##er"]
PARTS += ["ﬁ", "İ", "ς", "é", "e\u0301", "½", "²", "٣", "你好", "한", "\u1112\u1161", "🤦🏽\u200d♀️", "”", "—", "x" * 120]
PARTS += ["\x00", "\x0b", "\x0c", "\x1c", "\x85", "\xa0", "\u0345", "\u180e", "\u200b", "\u2003", "\u2028", "\u3000", "\ufeff", "\ufffd"]
ANY_TEXT = st.text(max_size=40) | st.lists(st.sampled_from(PARTS) | st.characters(exclude_categories=["Cs"]), max_size=14).map("".join)


def expected(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


def found(memo: Memo, texts: list[str]) -> list[list[int]]:
    return [np.frombuffer(ids, np.uint16).tolist() for ids in memo.encode(texts)]


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_the_tokenizers_own(kind):
    made(kind)  # skips here where there is no fixture

    @settings(max_examples=100, deadline=None)
    @given(texts=st.lists(ANY_TEXT, max_size=4))
    def check(texts):
        assert found(memo(kind), texts) == expected(made(kind), texts)

    check()


@pytest.mark.parametrize("kind", ["trained", "wordpiece"])
def test_every_character_among_letters_blanks_and_punctuation(kind):
    """All that are no letters, and every eighth letter, up to the ideographs: all white space, controls and most marks."""
    places = ["a{0}b {0} {0}{0}a{0}. {0}'s{0}t ,{0} {0}, 1{0}2", "x  {0}  {0}\n{0}\t {0}y{0} ", "{0}'{0}s{0}'t {0}", "A{0}"]
    characters = [chr(i) for i in range(0x3100) if not chr(i).isalpha() or i % 8 == 0]
    texts = [place.format(character) for character in characters for place in places]
    assert found(memo(kind), texts) == expected(made(kind), texts)


ALTERED = {
    "blank before": lambda it: setattr(it, "pre_tokenizer", pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "other words": lambda it: setattr(
        it, "pre_tokenizer", pre_tokenizers.Sequence([pre_tokenizers.Digits(), pre_tokenizers.ByteLevel(use_regex=False)])
    ),
    "normalizer": lambda it: setattr(it, "normalizer", normalizers.Replace("it?", "the reader")),
    "a token of several words": lambda it: it.add_tokens([AddedToken("reader's words", normalized=False)]),
    "special tokens read as such": lambda it: setattr(it, "encode_special_tokens", False),
    "cut texts": lambda it: it.enable_truncation(3),
}


@pytest.mark.parametrize("name", ALTERED)
def test_a_tokenizer_that_works_otherwise_reads_whole_texts(name):
    tokenizer = trained()
    ALTERED[name](tokenizer)
    texts = [*TEXT, *TEXT, f"the {MASK} reader's  words", ""]
    assert found(Memo(tokenizer), texts) == expected(tokenizer, texts) != expected(made("trained"), texts)


def test_no_more_pieces_are_kept_than_allowed():
    memo = Memo(made("trained"), most=1000)
    for i in range(300):
        memo.encode([f" word{i} " * 50, f"{i:099d}"])
        assert memo.characters <= 1000 + 120
    assert memo.characters > 500
