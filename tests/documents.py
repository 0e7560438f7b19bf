"""The project's pages, and the commands that they show."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from checkout import ROOT

PAGES = ("README.md", "data/README.md", "results/README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
COMMANDS = ("sh", "bash")
OUTPUT = ("text", "mermaid", "diff", "yaml", "json", "python")  # a fence without a word shows a command (`$ `) and its output

_FENCE = re.compile(r"(?m)^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL)
_DECLARED = re.compile(r"<!-- test: ([^\n]+) -->\n\Z")
_ITEM = re.compile(r"^ *([-*]|\d+\.) ")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        declared: what the comment above it says is to be done with it in a test; None where there is none.
        section: the heading that it stands under.
    """

    page: str
    line: int
    language: str
    declared: str | None
    section: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, text: str | None = None) -> list[Block]:
    """The fenced blocks of a page."""
    text = text_of(page) if text is None else text
    found = []
    for match in _FENCE.finditer(text):
        before = text[: match.start()]
        declared = _DECLARED.search(before)
        headings = re.findall(r"(?m)^#+ (.*)$", prose(before))
        lines = [line.removeprefix(match[1]) for line in match[3].splitlines()]
        about = (before.count("\n") + 1, match[2], declared and declared[1], headings[-1] if headings else "")
        found.append(Block(page, *about, "\n".join(lines) + "\n"))
    return found


def shown() -> list[Block]:
    """Every block of commands in the project's pages."""
    return [block for page in PAGES for block in blocks(page) if block.language in COMMANDS]


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", text)


def indented(text: str) -> list[str]:
    """Lines that Markdown shows as code without a fence, outside lists."""
    found, in_list, before = [], False, ""
    for line in prose(text).splitlines():
        in_list = bool(_ITEM.match(line)) or (in_list and (not line or line.startswith(" ")))
        if line.startswith("    ") and not in_list and (not before or before.startswith("    ")):
            found.append(line)
        before = line
    return found


def commands(text: str) -> list[list[str]]:
    """The simple commands of a script, as words; comments vanish, pipes and `&&` separate."""
    found: list[list[str]] = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set(";|&()"):
                found.append(words)
                words = []
            else:
                words.append(word)
    return [words for words in found if words]
