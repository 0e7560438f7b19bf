"""Token ids at the speed of a dictionary: every piece of text goes through the tokenizer once.

Tokenizers of the two kinds in use look at one word at a time. A text is cut where such a tokenizer cuts it whatever
stands there, and the ids of each piece are remembered. By induction over the pieces, for each kind:

- byte-level BPE (GPT-2's pattern `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+`): from a cut on,
  its next match is a run of letters with the blank before it, so it ends behind ASCII letters that no other letter follows;
  no match goes from a character that isn't white space to one that is; and white space is cut by the pattern's own rule;
- WordPiece behind BERT's normalizer and pre-tokenizer: white space separates words, punctuation is a word of its own, and the
  normalizer takes each character alone (accents are moved within what lies between two base characters, and removed).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from imdm.data.tokenizer import end_and_mask

# A bracket expression for each: Unicode's White_Space (Python's \s has U+001C to U+001F besides), and what neither
# kind of tokenizer joins to a letter before it. BERT's normalizer deletes other ASCII control characters.
_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_LETTERS = r"[A-Za-z]++(?![^!-/:-@\[-`{-~ \t\n\r])"
_BYTE_LEVEL = re.compile(rf" ?{_LETTERS}| ?[^{_SPACE}]+|[{_SPACE}]+(?![^{_SPACE}])|[{_SPACE}]")
_BERT = re.compile(rf"{_LETTERS}|[^ \t\n\r]+")

_CHARACTERS = 4_000_000  # of the remembered pieces: about 600,000 of them, 120 MB
_TOGETHER = 64  # pieces in one call: an encoding takes longer to make than its few ids


class Memo:
    """A tokenizer that remembers.

    Args:
        tokenizer: of `imdm.data.tokenizer`; one of another kind than the two above encodes each text as a whole.
        most: when the pieces have more characters in all, they are forgotten.

    Attributes:
        characters: of all pieces that it remembers.
    """

    def __init__(self, tokenizer: Tokenizer, most: int = _CHARACTERS):
        self._tokenizer, self._most = tokenizer, most
        pattern = _pattern(tokenizer)
        self._cut = pattern.findall if pattern else None
        self._ids: dict[str, bytes] = {}
        self.characters = 0
        self._special = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        self._end_id, _ = end_and_mask(tokenizer)
        end = tokenizer.id_to_token(self._end_id)
        assert end is not None
        self._end = end
        self._separating = Tokenizer.from_str(tokenizer.to_str())  # reads special tokens as such

    def encode(self, texts: Sequence[str]) -> list[bytes]:
        """The ids of each text, uint16 in the machine's order, as `tokenizer.encode(text, add_special_tokens=False)` gives them."""
        if self._cut is None:
            return self._whole(texts)
        cut = [self._cut(text) for text in texts]
        if self.characters > self._most:
            self._ids.clear()
            self.characters = 0
        missing = list(set().union(*cut).difference(self._ids))
        self._ids.update(zip(missing, self._encode(missing), strict=True))
        self.characters += sum(map(len, missing))
        ids_of = self._ids.__getitem__
        return [b"".join(map(ids_of, pieces)) for pieces in cut]

    def _whole(self, texts: Sequence[str]) -> list[bytes]:
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(encoding.ids, np.uint16).tobytes() for encoding in encodings]

    def _encode(self, pieces: list[str]) -> Iterator[bytes]:
        """The ids of each piece, many in one text with a special token between them, which nothing reaches across."""
        groups = [pieces[i : i + _TOGETHER] for i in range(0, len(pieces), _TOGETHER)]
        texts = [self._end.join(group) for group in groups]
        for group, text, encoding in zip(groups, texts, self._separating.encode_batch_fast(texts, add_special_tokens=False), strict=True):
            ids = np.array(encoding.ids, np.uint16)
            ends = np.flatnonzero(ids == self._end_id)
            if len(group) - 1 == len(ends) == sum(map(text.count, self._special)):
                data, bounds = ids.tobytes(), (2 * ends).tolist()
                yield from (data[start:stop] for start, stop in zip([0, *(end + 2 for end in bounds)], [*bounds, len(data)], strict=True))
            else:  # a piece spells a special token, and is to be read as text
                yield from self._whole(group)


def _pattern(tokenizer: Tokenizer) -> re.Pattern[str] | None:
    """What cuts a text into pieces that may be encoded alone; None where that isn't known to be exact."""
    model, before, normalizer = tokenizer.model, tokenizer.pre_tokenizer, tokenizer.normalizer
    as_usual = tokenizer.encode_special_tokens and all(token.special for token in tokenizer.get_added_tokens_decoder().values())
    if not as_usual or tokenizer.truncation or tokenizer.padding:
        return None
    if isinstance(before, pre_tokenizers.ByteLevel) and isinstance(model, models.BPE):
        plain = before.use_regex and not before.add_prefix_space and normalizer is None and not model.dropout
        return _BYTE_LEVEL if plain else None
    if isinstance(before, pre_tokenizers.BertPreTokenizer) and isinstance(model, models.WordPiece):
        return _BERT if isinstance(normalizer, normalizers.BertNormalizer) else None
    return None
