"""Pages, each one file that needs nothing else: their templates, and the samples that they show.

Figures 4 and 6 to 13 are pages of samples; a report shows the first samples of each model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imdm.data.blocks import Dataset
from imdm.data.speller import BREAK, Pieces, Speller
from imdm.errors import UserError
from imdm.files import fitting, open_tensors
from imdm.params import Params
from imdm.results.names import setting_of, step_words
from imdm.results.plan import PAGES, files
from imdm.sampling.files import AboutSamples

_AGAIN = "run the stage that makes it again"
_FIRST = 8  # samples of a model and step count in a report
_REPORT = 60_000  # tokens of one report over all models and step counts, so that it stays small
_PAGE = 2048  # tokens of a page of unconditional samples
_PROMPTS, _COMPLETIONS = 4, 3  # of a page of completions


def fill(template: str, **content: Any) -> str:
    """A template with its content, escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("imdm.results", ".")
    pages = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    return pages.get_template(template).render(**content)


@contextmanager
def open_samples(path: Path, data: Dataset) -> Iterator[tuple[Any, dict[str, Any]]]:
    """An open samples.safetensors and its metadata. Raises UserError: it was made with another tokenizer than the data's."""
    with open_tensors(path, _AGAIN) as file:
        about = fitting(path, (file.metadata() or {}).get("imdm", "{}"), AboutSamples, "a file of samples", _AGAIN)
        if about["tokenizer_sha256"] != data.tokenizer_sha256:
            raise UserError(f"{path} was made with another tokenizer than the data's; run stages/sample.py again or correct --data.")
        yield file, about


def spell(file: Any, steps: int, rows: range, speller: Speller, length: int | None = None) -> list[Pieces]:
    """The pieces of some samples of an open file, of their first `length` tokens."""
    tokens, at = (file.get_slice(f"{steps}.{name}")[rows.start : rows.stop, :length] for name in ("tokens", "unmasked_at"))
    return [speller.pieces(ids, when) for ids, when in zip(tokens.tolist(), at.tolist(), strict=True)]


def first_samples(paths: list[Path], data: Dataset) -> dict[str, dict[str, list[Pieces]]]:
    """The first samples of every file by model and step count, fewer where a report would grow too large; errors as `open_samples`'."""
    speller, samples = Speller.of(data), {}
    for path in paths:
        with open_samples(path, data) as (file, about):
            shown = range(min(_FIRST, max(1, _REPORT // (len(paths) * len(about["steps"]) * data.seq_len))))
            samples[about["model"]] = {str(n): spell(file, n, shown, speller) for n in about["steps"]}
    return samples


def sample_page(name: str, params: Params, results: Path, data: Dataset) -> str:
    """The page of figure04 or one of figure06 to figure13, at its step count or the nearest; errors as `open_samples`'."""
    (method, wanted), speller = PAGES[name], Speller.of(data)
    with open_samples(results / files(params, f"figures/{name}.html")[0], data) as (file, about):
        model, task = about["model"], about["conditional"]
        steps = min(about["steps"], key=lambda n: (abs(math.log(n / wanted)), n))
        if task:
            starts = range(0, min(_PROMPTS, task["prompts"]) * task["completions"], task["completions"])
            parts = [range(start, start + min(task["completions"], _COMPLETIONS)) for start in starts]
            groups = [(f"Prompt {n}", spell(file, steps, part, speller, task["scored_tokens"])) for n, part in enumerate(parts, 1)]
        else:
            count = len(file.get_slice(f"{steps}.calls")[:])
            groups = [("", spell(file, steps, range(min(count, 12, max(2, _PAGE // data.seq_len))), speller))]
    lead = [f"{model} ({setting_of(model)}), corpus {data.corpus}, the first samples, not picked."]
    if steps != wanted:
        lead.append(f"The paper shows {wanted} steps, at which this run was not sampled; {steps} is nearest.")
    if task:
        lead.append(f"Prompts: the first {task['prompt_tokens']} tokens of {task['split']} blocks.")
        lead.append(f"Shown are the {task['scored_tokens']} tokens that are scored.")
    return fill(
        "page.html.j2",
        title=f"Figure {int(name[-2:])}. {'Completions' if task else 'Samples'} of {method} at {step_words(steps)}",
        lead=" ".join([*lead, f"{BREAK} stands between documents."]),
        places=[f"{100 * step / max(steps - 1, 1):g}" for step in range(steps)],
        groups=groups,
        prompted=bool(task),
        mark=BREAK,
    )
