"""Figures 4 and 6 to 13: samples to read, as a page and as plain text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from imdm.data.blocks import Dataset
from imdm.exhibits.plan import PAGES, needs
from imdm.params import Params
from imdm.report.html import environment
from imdm.report.names import setting_of
from imdm.report.samples import BREAK, Speller, open_samples, spell

_TOKENS = 2048  # shown on a page of unconditional samples
_PROMPTS, _COMPLETIONS = 4, 3
_METHODS = ("MDLM", "SDTT", "Di4C", "IMDM")  # two pages each, from Figure 6 on

Pieces = list[tuple[str, int]]  # text and the step at which it was unmasked, -1 for what was given


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

    def html(self) -> str:
        """A page that needs no other file."""
        steps = range(self.steps)
        return environment().get_template("page.html.j2").render(page=self, mark=BREAK, places=[self.place(step) for step in steps])

    def place(self, step: int) -> float:
        """Where a step lies between the first, 0, and the last, 100."""
        return 100 * step / (self.steps - 1) if self.steps > 1 else 0

    def text(self) -> str:
        """Plain text; a prompt stands in brackets."""
        lines = [self.title, self.lead, ""]
        for heading, samples in self.groups:
            lines += [heading, ""] if heading else []
            for number, pieces in enumerate(samples, 1):
                given = "".join(text for text, step in pieces if step < 0)
                rest = "".join(text for text, step in pieces if step >= 0)
                whole = f"[{given}]{rest}" if self.prompted else "".join(text for text, _ in pieces)
                lines += [f"{number}.", whole, ""]
        return "\n".join(lines)


def make_page(exhibit: str, params: Params, results: Path, data: Dataset) -> Page:
    """Read the samples of figure04 or one of figure06 to figure13; where its step count was not sampled, of the nearest.

    Raises:
        UserError: the samples are of another tokenizer.
    """
    needed, place = needs(params, exhibit), PAGES.index(exhibit) - 1
    wanted = 4 if place >= 0 and place % 2 == 0 else 8
    speller = Speller(data.tokenizer(), {data.bos_id, data.eos_id})
    with open_samples(results / needed.files()[0], data) as (file, about):
        steps = min(about["steps"], key=lambda n: (abs(math.log(n / wanted)), n))
        task = about["conditional"]
        if task:
            each = task["completions"]
            starts = [prompt * each for prompt in range(min(_PROMPTS, task["prompts"]))]
            rows = [range(start, start + min(each, _COMPLETIONS)) for start in starts]
            groups = [(f"Prompt {n}", spell(file, steps, of, speller, task["scored_tokens"])) for n, of in enumerate(rows, 1)]
        else:
            count = len(file.get_slice(f"{steps}.calls")[:])
            groups = [("", spell(file, steps, range(min(count, 12, max(2, _TOKENS // data.seq_len))), speller))]
    kind = f"{'Completions' if task else 'Samples'} of {'IMDM' if task else _METHODS[place // 2]}"
    title = f"Figure {int(exhibit.removeprefix('figure'))}. {kind} at {steps} step{'s' if steps > 1 else ''}"
    return Page(title, _lead(about, steps, wanted, data), steps, [(heading, _joined(found)) for heading, found in groups], bool(task))


def _joined(samples: list[Pieces]) -> list[Pieces]:
    """Samples with neighbours of one step put together."""
    found = []
    for pieces in samples:
        joined: Pieces = []
        for text, step in pieces:
            if joined and joined[-1][1] == step and BREAK not in (text, joined[-1][0]):
                joined[-1] = (joined[-1][0] + text, step)
            else:
                joined.append((text, step))
        found.append(joined)
    return found


def _lead(about: dict, steps: int, wanted: int, data: Dataset) -> str:
    parts = [f"{about['model']} ({setting_of(about['model'])}), corpus {data.corpus}, the first samples, not picked."]
    if steps != wanted:
        parts.append(f"The paper shows {wanted} steps, at which this run was not sampled; {steps} is nearest.")
    if about["conditional"]:
        task = about["conditional"]
        parts.append(f"Prompts: the first {task['prompt_tokens']} tokens of {task['split']} blocks.")
        parts.append(f"Shown are the {task['scored_tokens']} tokens that are scored.")
    return " ".join([*parts, f"{BREAK} stands between documents."])
