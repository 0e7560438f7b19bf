"""Reads English prose out of documentation: plain-text topics and reST-like docstrings.

Works from the outside in: lines (doctests, tables, headings, directives) are dropped, the rest is grouped
to paragraphs, inline markup becomes plain words, and a sentence stays only if it reads as one. What is
lost is code; what is kept is never rewritten but for its markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# A sentence of ten words without any of these is a list of names.
_FREQUENT = (
    "a an the this that these those it its is are was were be been being has have had do does did not no or and but if "
    "of in on at to for from by with as into than then when where which who while whether will would can could may might "
    "must should any all each some such same only also there here they them their he his you your we our i so because "
    "between after before until unless one two other another both either more most"
)
_FUNCTION_WORDS = frozenset(_FREQUENT.split())
_OPEN_ENDED = "a an the this of in on at to for from by with as than when where which who while whether and or but if because into e.g i.e"
_UNFINISHED = frozenset(_OPEN_ENDED.split())  # no sentence ends with one of these
_ABBREVIATIONS = ("e.g.", "i.e.", "etc.", "vs.", "cf.", "resp.", "incl.", "fig.", "no.", "sec.", "approx.", "dr.", "mr.", "p.", "pp.")

_UNDERLINE = re.compile(r"\s*([=\-~^*#\"'+`_.:<>])\1{2,}\s*")
_TABLE = re.compile(r"\s*([+|].*[+|]|=+( +=+)+|-+( +-+)+)\s*|.*\S\s*\|\s*\S.*\|.*")
_DIRECTIVE = re.compile(r"\s*\.\. *(?P<name>[\w-]+)::\s*(?P<rest>.*)")
_PROSE_DIRECTIVES = ("note", "warning", "important", "tip", "seealso", "caution", "hint")
_FEWEST_WORDS, _MOST_WORDS = 4, 90  # of a sentence
_SUMMARY_WORDS = 20  # a paragraph without a full stop that is longer than this is a list
_BULLET = re.compile(r"(\s*)([-*+o•]|\(?\d{1,2}[.)]|\(?[a-z]\)|#\.)(\s+)(?=\S)")
_FIELD = re.compile(r"\s*[:@](param|type|arg|argument|return|returns|rtype|raise|raises|keyword|var|ivar|cvar)\b[^:]*:\s*")
_LABEL = re.compile(
    r"\s*(Notes?|NOTE|Warning|WARNING|Caution|Important|Returns|Raises|XXX|TODO|CPython implementation detail)\s*:\s+(?=\S)"
)
_NOT_PROSE = re.compile(
    r"(New|Changed|Deprecated|Added|Removed)( since| in)? (in )?version \d|(Deprecated|Added) since"
    r"|Availability:|See also\b|Author:|Copyright"
)

_INLINE = (
    (re.compile(r":(?:[\w+-]+:)+`~[\w.]*?(\w+)`"), r"\1"),  # a role that shows the last part of a name
    (re.compile(r":(?:[\w+-]+:)+`!?([^`<]*?)(?:\s*<[^`]*>)?`"), r"\1"),  # a role: its text
    (re.compile(r"`([^`<>]+?)\s*<[^`>]+>`__?"), r"\1"),  # a link: its title
    (re.compile(r"\|(\w[\w ]*)\|"), r"\1"),  # a substitution
    (re.compile(r"\s?\[\d{1,2}\]_?|\s\[#\w*\]_"), ""),  # a footnote mark
    (re.compile(r"``\s?([^`']+?)\s?(?:``|'')"), r"\1"),  # a literal
    (re.compile(r"`([^`'\s][^`']*?)['`]_{0,2}(?!\w)"), r"\1"),  # `name' and `name`
    (re.compile(r"(?<![\w*])\*{1,2}([^\s*](?:[^*]*[^\s*])?)\*{1,2}(?![\w*])"), r"\1"),  # emphasis
    (re.compile(r"(?<![\w_])_([A-Za-z][\w ]*[A-Za-z])_(?![\w_])"), r"\1"),
    (re.compile(r"\"('[^\"']*'|\w[\w.]*(?:\(\))?)\"(?!\w)"), r"\1"),  # "name" of the language reference
    (re.compile(r"(?<!\w)'([A-Za-z_][\w.]*(?:\(\))?)'(?!\w)"), r"\1"),
)
_PLAIN = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "…": "...", "–": "-", "—": "-", "\u00a0": " "})
_SENTENCE_END = re.compile(r"(?<=[.?!])[\"')]*\s+(?=[\"'(]?[A-Z0-9])")
_WORD = re.compile(r"[A-Za-z]+(?:['/-][A-Za-z]+)*|\d+(?:\.\d+)?")
_FORBIDDEN = re.compile(
    r"[^A-Za-z0-9 .,;:'\"()!?/%+&_-]"  # brackets, operators, anything but ASCII
    r"|https?:|www\.|\.\.\.\S|->|::|\+\+|\b(XXX|TODO|FIXME)\b"
    r"|\w\((?!s\))[^)\s]"  # a call with arguments, but not "the word(s)"
    r"|(?<!\w)[_%&+]+(?!\w)|[:,;]\.$|[,;:](?=[.,;:])"  # marks that stand alone or collide
)
_OPENING, _CLOSING = re.compile(r"(?<![\w'])'(?=[\w-])"), re.compile(r"(?<=[\w.,?!)])'(?![\w'])")
_FIRST = re.compile(r"[\"'(]?[A-Z0-9]|_*[a-z]+(?:[_.][a-z]\w*)+ |[a-z_]+\(\) ")  # a capital, or a name in code
_EDGES = "\"'().,;:!?"


def prose(text: str) -> list[str]:
    """Paragraphs of English prose in a piece of documentation.

    Args:
        text: a dedented docstring, or a topic of the language reference.

    Returns:
        paragraphs without line breaks, each of one or more whole sentences; empty where there are none.
    """
    kept = (_readable(paragraph, introduces) for paragraph, introduces in _paragraphs(_without_code(text)))
    return [paragraph for paragraph in kept if paragraph]


def _without_code(text: str) -> Iterator[str]:
    """The lines of `text` but doctests, literal blocks, tables, headings and directives."""
    lines = text.translate(_PLAIN).expandtabs().splitlines()
    literal: int | None = None  # indentation of the paragraph whose literal block we are in
    doctest = False
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            doctest = False
            yield ""
            continue
        if literal is not None and indent <= literal:
            literal = None
        doctest = doctest or line.lstrip().startswith((">>>", "... ", "$ ", "% ", "C:\\"))
        if literal is not None or doctest:
            continue
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if _UNDERLINE.fullmatch(line) or _TABLE.fullmatch(line) or (_UNDERLINE.fullmatch(following) and len(line) < 100):
            yield ""
            continue
        directive = _DIRECTIVE.fullmatch(line)
        if directive:
            literal = None if directive["name"] in _PROSE_DIRECTIVES else indent
            yield ""
            continue
        if line.lstrip().startswith((".. ", "@", "#", "|")):
            yield ""
            continue
        if line.rstrip().endswith("::"):
            literal = indent
            line = line.rstrip()[:-1]
        yield line


def _paragraphs(lines: Iterator[str]) -> Iterator[tuple[str, bool]]:
    """Joins lines to paragraphs; a blank line, a bullet, a label or another indentation begins a new one.

    Yields:
        the text, and whether deeper lines follow, which it then introduces.
    """
    current: list[str] = []
    depths: tuple[int, ...] = ()  # indentations at which the paragraph goes on
    ended = False
    for line in lines:
        if not line:
            ended = True
            continue
        own = len(line) - len(line.lstrip())
        mark = _BULLET.match(line) or _FIELD.match(line) or _LABEL.match(line)
        if current and (ended or mark or all(abs(own - depth) > 1 for depth in depths)):
            yield " ".join(current), own > max(depths)
            current = []
        depths = (own,) if current or not mark else (own, mark.end())
        text = line[mark.end() :].strip() if mark else line.strip()
        current.append(text[:1].upper() + text[1:] if mark and mark.re is _LABEL else text)
        ended = False
    if current:
        yield " ".join(current), False


def _readable(paragraph: str, introduces: bool) -> str:
    """The sentences of a paragraph that read as English, or an empty string."""
    if paragraph.count(" ") < _FEWEST_WORDS - 1:
        return ""
    for pattern, replacement in _INLINE:
        paragraph = pattern.sub(replacement, paragraph)
    paragraph = re.sub(r"(\w)- (?=[a-z])", r"\1-", paragraph)  # "read- only", broken at the line's end
    paragraph = re.sub(r"\s+--+\s+|(?<=\w)--+(?=\w|\s)", " - ", paragraph)
    paragraph = re.sub(r"\s+", " ", paragraph).strip()
    if _NOT_PROSE.match(paragraph):
        return ""
    sentences = _sentences(paragraph)
    kept = [sentence for sentence in sentences if is_sentence(sentence)]
    if not kept and not introduces and len(sentences) == 1 and len(paragraph.split()) <= _SUMMARY_WORDS and is_sentence(paragraph + "."):
        kept = [paragraph + "."]  # a summary line without its full stop
    enough = 2 * sum(map(len, kept)) >= len(paragraph)
    return " ".join(kept) if enough else ""


def _sentences(paragraph: str) -> list[str]:
    parts: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(paragraph):
        head = paragraph[start : match.end()].strip()
        if head.lower().endswith(_ABBREVIATIONS) or re.search(r"\b[A-Z]\.$", head):
            continue
        parts.append(head)
        start = match.end()
    return [*parts, paragraph[start:]]


def is_sentence(text: str) -> bool:
    """Whether `text` reads as one English sentence: a capital, a final mark, words of which enough are ordinary."""
    if not _FIRST.match(text) or not re.search(r"[.?!][\"')]*$", text):
        return False
    if _FORBIDDEN.search(text) or text.count(":") > 1:
        return False
    if text.count("(") != text.count(")") or text.count('"') % 2 or not _quotes_match(text):
        return False
    tokens = [token.strip(_EDGES) for token in text.split()]
    odd = sum(not _WORD.fullmatch(token) for token in tokens)
    function = sum(token.lower() in _FUNCTION_WORDS for token in tokens)
    if not _FEWEST_WORDS <= len(tokens) <= _MOST_WORDS or tokens[-1].lower() in _UNFINISHED:
        return False
    return odd <= max(1, 0.2 * len(tokens)) and function >= 0.1 * len(tokens)


def _quotes_match(text: str) -> bool:
    """Whether every single quote is an apostrophe or one of a pair; "the items' order" may look like half a pair."""
    opening, closing = len(_OPENING.findall(text)), len(_CLOSING.findall(text))
    inside = len(re.findall(r"(?<=\w)'(?=\w)", text))
    return opening + closing + inside == text.count("'") and 0 <= closing - opening <= text.count("s'")
