"""Languages: corpora whose every probability is known, and the oracle's marginals with them. Needs numpy only."""

from __future__ import annotations

from imdm.errors import UserError
from imdm.languages.chain import draw_chain
from imdm.languages.language import Language
from imdm.languages.stories import stories
from imdm.languages.templates import draw_words
from imdm.params import LanguageSettings


def open_language(settings: LanguageSettings, seq_len: int) -> Language:
    """The language that the parameters name, in blocks of L tokens. Raises UserError: its texts don't fit in a block."""
    try:
        if settings.language == "stories":
            return stories(seq_len)
        if settings.language == "chain":
            return draw_chain(settings.states, settings.length, settings.entropy_rate, seq_len, settings.language_seed)
        return draw_words(settings.words, settings.length, settings.letters, seq_len, settings.language_seed)
    except ValueError as error:
        raise UserError(f"language {settings.language}: {error}.") from None
