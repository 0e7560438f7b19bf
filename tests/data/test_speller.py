"""How tokens become text."""

from __future__ import annotations

from imdm.data.speller import BREAK, Speller, byte_of_character
from imdm.data.tokenizer import train_bpe


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
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece

    vocabulary = {"[CLS]": 0, "[UNK]": 1, "un": 2, "##mask": 3, "##ed": 4, "text": 5}
    pieces = Speller(Tokenizer(WordPiece(vocabulary, unk_token="[UNK]")), {0}).pieces([0, 2, 3, 4, 5, 0], [-1, 3, 0, 1, 2, 2])
    assert pieces == [(BREAK, -1), (" un", 3), ("mask", 0), ("ed", 1), (" text", 2), (BREAK, 2)]


def test_byte_alphabet_is_that_of_the_tokenizers_library():
    from tokenizers.pre_tokenizers import ByteLevel

    assert set(byte_of_character()) == set(ByteLevel.alphabet())
    assert sorted(byte_of_character().values()) == list(range(256))
    shown = ByteLevel(add_prefix_space=False).pre_tokenize_str("é\n")
    assert bytes(byte_of_character()[char] for word, _ in shown for char in word) == "é\n".encode()
