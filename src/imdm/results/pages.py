"""Figures 4 and 6 to 13: samples to read, each a page of its own."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

from imdm.data.blocks import Dataset
from imdm.data.speller import BREAK, Pieces, Speller
from imdm.params import Params
from imdm.results.html import environment
from imdm.results.names import setting_of, step_words
from imdm.results.plan import PAGES, files
from imdm.results.samples import open_samples, spell

_TOKENS = 2048  # shown on a page of unconditional samples
_PROMPTS, _COMPLETIONS = 4, 3
_METHODS = ("MDLM", "SDTT", "Di4C", "IMDM")  # two pages each, from Figure 6 on
_STEPS = (4, 8)  # of the two pages in the paper; Figure 4 is at 8


def sample_page(name: str, params: Params, results: Path, data: Dataset) -> str:
    """The page of figure04 or one of figure06 to figure13; where its step count was not sampled, of the nearest.

    Args:
        results: the folder results/RUN.

    Raises:
        UserError: the samples are of another tokenizer.
    """
    place = PAGES.index(name) - 1
    wanted = _STEPS[place % 2]
    (path,) = files(params, f"figures/{name}.html")
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
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            title=f"Figure {int(name.removeprefix('figure'))}. {kind} at {step_words(steps)}",
            lead=_lead(about, steps, wanted, data),
            places=[f"{100 * step / max(steps - 1, 1):g}" for step in range(steps)],
            groups=[(heading, [_joined(pieces) for pieces in samples]) for heading, samples in groups],
            prompted=bool(task),
            mark=BREAK,
        )
    )


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
