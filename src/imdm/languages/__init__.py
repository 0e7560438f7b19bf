"""Languages: corpora whose every probability is known, and the oracle's marginals with them. Needs numpy only."""

from __future__ import annotations

import numpy as np

from imdm.errors import UserError
from imdm.languages.chain import draw_chain
from imdm.languages.language import Language, places
from imdm.languages.stories import stories
from imdm.languages.templates import Slot, Templates
from imdm.params import LanguageSettings


def open_language(settings: LanguageSettings, seq_len: int) -> Language:
    """The language that the parameters name, in blocks of L tokens. Raises UserError: its texts don't fit in a block."""
    try:
        if settings.language == "stories":
            return stories(seq_len)
        if settings.language == "chain":
            return draw_chain(settings.states, settings.length, settings.entropy_rate, seq_len, settings.language_seed)
        return _draw_words(settings, seq_len)
    except ValueError as error:
        raise UserError(f"language {settings.language}: {error}.") from None


def _draw_words(settings: LanguageSettings, seq_len: int) -> Templates:
    """Different words, uniform over all such sets."""
    draws = np.random.default_rng([settings.language_seed, settings.words, settings.length, settings.letters])
    codes: list[int] = []
    while len(codes) < settings.words:  # rejection of words that are there already
        codes = list(dict.fromkeys([*codes, *draws.integers(settings.letters**settings.length, size=settings.words).tolist()]))
    place = settings.letters ** np.arange(settings.length)
    alphabet = [chr(ord("a") + letter) for letter in range(settings.letters)]
    texts = np.array(codes[: settings.words])[:, None] // place % settings.letters
    return Templates(alphabet, [[Slot(places(settings.length, seq_len), texts)]], seq_len)
