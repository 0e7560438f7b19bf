"""Figures 4 and 6 to 13: samples to read, as a page and as plain text."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imdm.data.blocks import Dataset
from imdm.params import Params
from imdm.results.html import environment
from imdm.results.names import setting_of
from imdm.results.plan import PAGES, files
from imdm.results.samples import BREAK, Pieces, Speller, open_samples, spell

_TOKENS = 2048  # shown on a page of unconditional samples
_PROMPTS, _COMPLETIONS = 4, 3
_METHODS = ("MDLM", "SDTT", "Di4C", "IMDM")  # two pages each, from Figure 6 on
_STEPS = (4, 8)  # of the two pages in the paper; Figure 4 is at 8


@dataclass(frozen=True)
class Page:
    """Samples of one model at one step count.

    Attributes:
        groups: heading and samples; a heading for each prompt, one without text for unconditional samples.
        prompted: whether what was given is a prompt.
    """

    title: str
    lead: str
    steps: int
    groups: list[tuple[str, list[Pieces]]]
    prompted: bool

    def write(self, stem: Path) -> None:
        """Write STEM.html, which needs no other file, and STEM.txt."""
        html = environment().get_template("page.html.j2").render(page=self, mark=BREAK)
        stem.with_suffix(".html").write_text(html, encoding="utf-8")
        stem.with_suffix(".txt").write_text(self.text(), encoding="utf-8")

    def place(self, step: int) -> str:
        """Where a step lies between the first, 0, and the last, 100."""
        return f"{100 * step / max(self.steps - 1, 1):g}"

    def text(self) -> str:
        """Plain text; a prompt stands in brackets."""
        lines = [self.title, self.lead, ""]
        for heading, samples in self.groups:
            lines += [heading, ""] if heading else []
            for number, pieces in enumerate(samples, 1):
                given, rest = ("".join(text for text, step in pieces if (step < 0) == wanted) for wanted in (True, False))
                lines += [f"{number}.", f"[{given}]{rest}" if self.prompted else "".join(text for text, _ in pieces), ""]
        return "\n".join(lines)


def make_page(name: str, params: Params, results: Path, data: Dataset) -> Page:
    """Read the samples of figure04 or one of figure06 to figure13; where its step count was not sampled, of the nearest.

    Args:
        results: the folder results/RUN.

    Raises:
        UserError: the samples are of another tokenizer.
    """
    place = PAGES.index(name) - 1
    wanted = _STEPS[place % 2]
    path = next(file for file in files(params, f"figures/{name}.html") if file.endswith("samples.safetensors"))
    speller = Speller.of(data)
    with open_samples(results / path, data) as (file, about):
        steps = min(about["steps"], key=lambda n: (abs(math.log(n / wanted)), n))
        task = about["conditional"]
        if task:
            starts = range(0, min(_PROMPTS, task["prompts"]) * task["completions"], task["completions"])
            parts = [range(start, start + min(task["completions"], _COMPLETIONS)) for start in starts]
            groups = [(f"Prompt {n}", spell(file, steps, part, speller, task["scored_tokens"])) for n, part in enumerate(parts, 1)]
        else:
            count = len(file.get_slice(f"{steps}.calls")[:])
            groups = [("", spell(file, steps, range(min(count, 12, max(2, _TOKENS // data.seq_len))), speller))]
    kind = "Completions of IMDM" if task else f"Samples of {_METHODS[place // 2]}"
    title = f"Figure {int(name.removeprefix('figure'))}. {kind} at {steps} step{'s' if steps > 1 else ''}"
    joined = [(heading, [_joined(pieces) for pieces in samples]) for heading, samples in groups]
    return Page(title, _lead(about, steps, wanted, data), steps, joined, bool(task))


def _joined(pieces: Pieces) -> Pieces:
    """Neighbours of one step put together; a break stands alone."""
    groups = itertools.groupby(enumerate(pieces), lambda item: (item[1][1], item[0] if item[1][0] == BREAK else -1))
    return [("".join(text for _, (text, _) in group), step) for (step, _), group in groups]


def _lead(about: dict[str, Any], steps: int, wanted: int, data: Dataset) -> str:
    parts = [f"{about['model']} ({setting_of(about['model'])}), corpus {data.corpus}, the first samples, not picked."]
    if steps != wanted:
        parts.append(f"The paper shows {wanted} steps, at which this run was not sampled; {steps} is nearest.")
    if about["conditional"]:
        task = about["conditional"]
        parts.append(f"Prompts: the first {task['prompt_tokens']} tokens of {task['split']} blocks.")
        parts.append(f"Shown are the {task['scored_tokens']} tokens that are scored.")
    return " ".join([*parts, f"{BREAK} stands between documents."])
