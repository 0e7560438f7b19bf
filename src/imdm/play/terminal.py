"""A model in the terminal: one text, or one after another while it stays loaded."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imdm.errors import UserError
from imdm.play.writer import Writer
from imdm.sampling.live import show

if TYPE_CHECKING:
    from rich.console import Console

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
