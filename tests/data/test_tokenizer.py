"""BERT's and GPT-2's tokenizers against the Python ones of transformers and a naive BPE, what is refused, and tokens as text."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import BertProcessing

from fixtures import fixture
from imdm.data.lm1b import detokenize
from imdm.data.speller import BREAK, Speller, byte_of_character
from imdm.data.tokenizer import END, MASK, end_and_mask, load_tokenizer, read_tokenizer, train_bpe
from imdm.errors import UserError

AWKWARD = [
    "",
    " two  blanks\tand\r\nlines \n\n",
    "Ünïcödé, ß, İstanbul, ﬁne, e\u0301, 你好, 🤦🏽‍♀️, \x00\x07\u200b\ufffd",
    "don't we'll they're I'M 1,000.5% $3 £4 http://a.b/c?d=e_f",
    "[MASK] [CLS] [SEP] [UNK] [PAD] <|endoftext|><|mask|> ##ing",
    "a" * 150,
]


@pytest.fixture(scope="module")
def bert():
    return load_tokenizer(str(fixture("tokenizers/bert_base_uncased")))


@pytest.fixture(scope="module")
def gpt2():
    return load_tokenizer(str(fixture("tokenizers/gpt2")))


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    with fixture("lm1b/news.en.heldout-00000-of-00050").open(encoding="utf-8") as file:
        return [detokenize(line.strip()) for line in itertools.islice(file, 200)]


@pytest.fixture(scope="module")
def pages() -> list[str]:
    with fixture("webtext/webtext.valid.short.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in itertools.islice(file, 200)]


def test_special_ids_are_those_of_the_predecessors(bert, gpt2):
    assert (end_and_mask(bert), bert.get_vocab_size()) == ((101, 103), 30_522)
    assert (end_and_mask(gpt2), gpt2.get_vocab_size()) == ((50_256, 50_257), 50_258)


def test_known_ids(bert, gpt2):
    """Published examples: the documentation of transformers for BERT, GPT-2's own repository for the other."""
    assert bert.encode("Hello, y'all! How are you 😁 ?").ids == [7592, 1010, 1061, 1005, 2035, 999, 2129, 2024, 2017, 100, 1029]
    assert gpt2.encode("Hello world").ids == [15496, 995]
    assert gpt2.encode(" Hello, my dog is cute").ids == [18435, 11, 616, 3290, 318, 13779]


def test_bert_is_the_python_tokenizer_of_transformers(bert, sentences):
    from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

    oracle = BertTokenizerLegacy(str(fixture("tokenizers/bert_base_uncased/vocab.txt")))
    assert oracle.encode("[SEP]")[0] == end_and_mask(bert)[0]  # what MDLM takes for EOS
    for text in [*sentences, *(text for text in AWKWARD if "[MASK]" not in text)]:
        assert bert.encode(text).ids == oracle.encode(text, add_special_tokens=False), text


def test_gpt2_is_transformers_and_a_naive_bpe(gpt2, pages):
    from transformers import GPT2Tokenizer

    oracle = GPT2Tokenizer.from_pretrained(str(fixture("tokenizers/gpt2")))
    for text in [*pages, *(text for text in AWKWARD if END not in text)]:
        assert gpt2.encode(text).ids == oracle(text, add_special_tokens=False)["input_ids"], text
    for text in [*pages[:20], *AWKWARD]:
        assert gpt2.encode(text).ids == naive_bpe(text), text


def naive_bpe(text: str) -> list[int]:
    """GPT-2's BPE from its files, merging the first pair of least rank until there is none."""
    import regex

    folder = fixture("tokenizers/gpt2")
    ids = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    merges = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]
    rank = {tuple(pair.split(" ")): place for place, pair in enumerate(merges)}
    spelling = {byte: char for char, byte in byte_of_character().items()}
    found = []
    for word in regex.findall(r"'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", text):
        parts = [spelling[byte] for byte in word.encode()]
        while ranks := [rank.get(pair, len(rank)) for pair in zip(parts, parts[1:])]:
            if min(ranks) == len(rank):
                break
            place = ranks.index(min(ranks))
            parts[place : place + 2] = [parts[place] + parts[place + 1]]
        found += [ids[part] for part in parts]
    return found


def test_gpt2_text_comes_back_and_bert_text_up_to_its_normalisation(bert, gpt2, pages, sentences):
    for text in [*pages, *AWKWARD]:
        assert gpt2.decode(gpt2.encode(text).ids) == text
    plain = str.maketrans("", "", " \t\r\n\x00\x07\u200b\ufffd")
    for text in sentences:
        decoded = bert.decode(bert.encode(text).ids)
        if text.isascii():
            assert decoded.translate(plain) == text.lower().translate(plain)
        assert bert.decode(bert.encode(decoded).ids) == decoded


def test_no_document_holds_a_mask_and_none_is_wrapped(bert, gpt2, tmp_path):
    for number, tokenizer in enumerate((bert, gpt2)):
        tokenizer.save(str(tmp_path / f"{number}.json"))
        for each in (tokenizer, read_tokenizer(tmp_path / f"{number}.json")):
            for text in AWKWARD:
                assert {*end_and_mask(each)}.isdisjoint(each.encode(text).ids)
            assert each.encode(AWKWARD[3]).ids == tokenizer.encode(AWKWARD[3]).ids


def test_a_tokenizer_json_is_used_as_it_is_but_for_wrapping_and_length(bert, gpt2, tmp_path):
    for tokenizer in (bert, gpt2):
        published = Tokenizer.from_str(tokenizer.to_str())
        published.post_processor = BertProcessing(("x", 1), ("y", 2))
        published.enable_truncation(4)
        published.enable_padding(length=8)
        published.save(str(tmp_path / "tokenizer.json"))
        loaded = load_tokenizer(str(tmp_path))
        assert len({tuple(each.encode("the same text for both, and a longer one").ids) for each in (loaded, tokenizer)}) == 1
        assert end_and_mask(loaded) == end_and_mask(tokenizer)


def test_a_trained_tokenizer_can_be_used_again(tmp_path):
    first = train_bpe(["The cat is red, and so it goes."] * 3, 270)
    first.save(str(tmp_path / "tokenizer.json"))
    assert load_tokenizer(str(tmp_path)).to_str() == first.to_str()


def write_words(folder: Path, words: list[str]) -> None:
    folder.joinpath("vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")


def test_a_small_word_piece_vocabulary_by_hand(tmp_path):
    write_words(tmp_path, ["[UNK]", "[CLS]", "[MASK]", "play", "##ing", "##ed", "naive", ",", "[", "]", "mask", "cl", "##s"])
    tokenizer = load_tokenizer(str(tmp_path))
    assert tokenizer.encode("Playing, NAÏVE played xyz [MASK]").ids == [3, 4, 7, 6, 3, 5, 0, 8, 10, 9]
    assert tokenizer.decode([3, 4, 7, 6, 3, 5]) == "playing, naive played"
    assert end_and_mask(tokenizer) == (1, 2)


def unmarked(folder: Path) -> None:
    """A mask that is a word like any other, and so could be read from a document."""
    tokenizer = Tokenizer(models.WordLevel({"[CLS]": 0, "[MASK]": 1, "word": 2}, "word"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))


REFUSED = {
    "neither kind": (lambda folder: write_words(folder, ["[UNK]", "a"]), r"neither <\|endoftext\|> .* nor \[CLS\] and \[MASK\]"),
    "nothing": (lambda folder: None, "holds no tokenizer.json, no vocab.txt"),
    "one of two": (lambda folder: (folder / "vocab.json").write_text("{}"), "not both vocab.json and merges.txt"),
    "broken": (lambda folder: (folder / "tokenizer.json").write_text("{"), "is not a tokenizer"),
    "not whole": (lambda folder: (folder / "tokenizer.json").write_text('{"version": "1.0"}'), "is not a tokenizer"),
    "empty": (lambda folder: Tokenizer(models.BPE()).save(str(folder / "tokenizer.json")), "neither"),
    "broken merges": (
        lambda folder: [(folder / name).write_text(text) for name, text in (("vocab.json", '{"a": 0}'), ("merges.txt", "a b"))],
        "the vocabulary in .* can't be read",
    ),
    "too many": (lambda folder: write_words(folder, ["[CLS]", "[MASK]", "[UNK]", *map(str, range(65_534))]), "has 65537 tokens"),
    "unmarked": (unmarked, "aren't marked as special"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_tokenizer_that_does_not_fit_is_refused(tmp_path, name):
    write, message = REFUSED[name]
    write(tmp_path)
    with pytest.raises(UserError, match=message):
        load_tokenizer(str(tmp_path))
    with pytest.raises(UserError, match=message if (tmp_path / "tokenizer.json").exists() else "does not exist"):
        read_tokenizer(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("name", ["gpt2", "/no/such/folder", "no/such/tokenizer"])
def test_without_the_hub_one_sentence_asks_for_a_folder(monkeypatch, tmp_path, name):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=f"corpus.tokenizer = '{name}' is no folder and can't be had from the hub .*; give a folder with"):
        load_tokenizer(name)


def test_gpt2_gets_the_mask_as_its_last_id(tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps({"a": 0, "b": 1, "ab": 2, END: 3}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b\n")
    tokenizer = load_tokenizer(str(tmp_path))
    assert (end_and_mask(tokenizer), tokenizer.get_vocab_size(), tokenizer.token_to_id(MASK)) == ((3, 4), 5, 4)
    assert tokenizer.encode("abba").ids == [2, 1, 0]


def test_pieces_hold_whole_characters():
    tokenizer = train_bpe(["the value of the list"] * 8, 280)
    text = "a é 日本 \U0001f600 <b>"
    ids = tokenizer.encode(text).ids
    pieces = Speller(tokenizer, {0}).pieces([0, *ids, 0], [-1, *range(len(ids)), 3])
    assert pieces[0] == (BREAK, -1) and pieces[-1] == (BREAK, 3)
    assert "".join(piece for piece, _ in pieces[1:-1]) == text
    emoji = tokenizer.encode("\U0001f600").ids
    assert len(emoji) == 4
    assert Speller(tokenizer, {0}).pieces(emoji, [1, 7, 0, 2]) == [("\U0001f600", 7)]  # whole when the last of its tokens is there
    cut = Speller(tokenizer, {0}).pieces([*emoji[:2], 0], [5, 2, 0])
    assert cut == [("\ufffd", 5), (BREAK, 0)]


def test_wordpieces_are_joined_to_words():
    vocabulary = {"[CLS]": 0, "[UNK]": 1, "un": 2, "##mask": 3, "##ed": 4, "text": 5}
    pieces = Speller(Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]")), {0}).pieces([0, 2, 3, 4, 5, 0], [-1, 3, 0, 1, 2, 2])
    assert pieces == [(BREAK, -1), (" un", 3), ("mask", 0), ("ed", 1), (" text", 2), (BREAK, 2)]


def test_byte_alphabet_is_that_of_the_tokenizers_library():
    assert set(byte_of_character()) == set(ByteLevel.alphabet())
    assert sorted(byte_of_character().values()) == list(range(256))
    shown = ByteLevel(add_prefix_space=False).pre_tokenize_str("é\n")
    assert bytes(byte_of_character()[char] for word, _ in shown for char in word) == "é\n".encode()


# Trained here


TEXT = [f"The {noun} is {adjective}, and so it goes." for noun in ("cat", "dog", "naïve owl") for adjective in ("red", "über", "old")]


@pytest.fixture(scope="module")
def trained():
    return train_bpe(TEXT * 5, 290)


@settings(max_examples=100, deadline=None)
@given(text=st.text())
def test_any_text_survives_the_tokenizer(trained, text):
    assert trained.decode(trained.encode(text).ids) == text


def test_special_tokens_spelt_in_a_document_are_plain_text(trained, tmp_path):
    trained.save(str(tmp_path / "tokenizer.json"))
    for each in (trained, read_tokenizer(tmp_path / "tokenizer.json")):
        ids = each.encode(f"a {MASK} b {END}").ids
        assert 0 not in ids and max(ids) < each.get_vocab_size() - 1
        assert each.decode(ids) == f"a {MASK} b {END}"


@pytest.mark.parametrize("text, wanted", [(TEXT, 290), (["aa"], 290), ([], 258)])
def test_end_is_the_first_token_and_mask_the_last(text, wanted):
    tokenizer = train_bpe(text, wanted)
    assert tokenizer.token_to_id(END) == 0
    assert tokenizer.token_to_id(MASK) == tokenizer.get_vocab_size() - 1
    assert tokenizer.get_vocab_size() == (wanted if text is TEXT else 258 + len(text))  # "aa" gives one merge
