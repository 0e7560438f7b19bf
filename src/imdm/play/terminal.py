"""A model in the terminal: one text, or one after another while it stays loaded."""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imdm.errors import UserError
from imdm.play.writer import Writer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # a model's bytes must not command a terminal
_SECONDS, _LONGEST = 4.0, 0.4  # of a replay, and of one of its frames
_HELP = """\
Type the beginning of a text, or one with gaps (___: a token an underscore), then Enter; Enter alone: from nothing.
/4: four steps from then on. Ctrl-D ends."""


@dataclass(frozen=True)
class Settings:
    """How texts are written and shown, as the options of stages/generate.py have it."""

    steps: int
    seed: int
    temperature: float
    count: int
    live: bool


def answer(writer: Writer, console: Console, text: str, settings: Settings) -> None:
    """Write and print. Raises UserError: as `Writer.write`."""
    written = writer.write(text, settings.steps, settings.seed, settings.temperature, settings.count)
    for number, sample in enumerate(written, 1):
        if settings.count > 1:
            print(f"--- {number} of {settings.count}", flush=True)
        show(console, sample.pieces, settings.live)


def converse(writer: Writer, console: Console, settings: Settings) -> None:
    """Answer each line until the input ends, every one with the next seed; a mistake is said and costs nothing."""
    print(_HELP)
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            text = input(f"{settings.steps} steps> ")
            if wanted := re.fullmatch(r"/([0-9]{1,9})", text):
                settings = replace(settings, steps=int(wanted[1]))
                continue
            try:
                answer(writer, console, text, settings)
            except UserError as error:
                print(error)
            settings = replace(settings, seed=settings.seed + 1)
    print()


def frames(pieces: list[tuple[str, int]]) -> list[Text]:
    """What is known after each step that unmasks something, the given text first.

    A masked piece has the place that its text will take, so that lines don't move.

    Args:
        pieces: of `Speller.pieces`.
    """
    from rich.text import Text

    steps = []
    for now in [-1, *sorted({step for _, step in pieces if step >= 0})]:
        frame = Text()
        for text, step in pieces:
            if step > now:
                frame.append(re.sub(r"\S", "\u2591", text), "dim")
            else:
                frame.append(text, "bold" if step < 0 else "green" if step == now else None)
        steps.append(frame)
    return steps


def printable(text: str) -> str:
    """A text whose control characters, but for tab and newline, show as U+FFFD."""
    return _CONTROL.sub("\ufffd", text)


def show(console: Console, pieces: list[tuple[str, int]], live: bool) -> None:
    """Print a sample's text; on a terminal, where `live` asks for it, after a replay of how it came about."""
    if not console.is_terminal:
        console.file.write("".join(text for text, _ in pieces) + "\n")
        return
    pieces = [(printable(text), step) for text, step in pieces]
    if live:
        from rich.live import Live

        steps = frames(pieces)
        with Live(console=console, auto_refresh=False, transient=True) as view:
            for frame in steps:
                view.update(frame, refresh=True)
                time.sleep(min(_LONGEST, _SECONDS / len(steps)))
    console.print("".join(text for text, _ in pieces), markup=False, highlight=False, soft_wrap=True)
