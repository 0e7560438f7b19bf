"""report.html, paper.html and extras.html: what a run holds, in one file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from imdm.data.blocks import Dataset
from imdm.data.speller import BREAK
from imdm.errors import UserError
from imdm.params import Params
from imdm.results.draw import CAPTIONS
from imdm.results.frame import read_comparison
from imdm.results.pages import fill, first_samples
from imdm.results.panels import COLOURS, GREY, GRID, INK
from imdm.results.paper import no_di4c
from imdm.results.plan import MAIN_FIGURES, exhibits, heading, left_out, main_tables, scored, title
from imdm.results.plan import output as output_of
from imdm.results.provenance import Run, Settings, duration, timings
from imdm.results.summary import summary, verdict
from imdm.results.view import View, read_view

_SHOWN = {".csv": ".json", ".png": ".svg"}  # what a page shows of an output
_MADE = {shown: output for output, shown in _SHOWN.items()}
_INLINE = {INK: "var(--ink)", GRID: "var(--rule)", GREY: "var(--muted)"} | {code: f"var(--{name})" for name, code in COLOURS.items()}


class Section(NamedTuple):
    """A part of a page: the tables, figures and pages of samples in it, in their order, and the page that waits for them."""

    id: str
    heading: str
    text: str
    names: tuple[str, ...]
    page: str = "report"


def sections(params: Params) -> list[Section]:
    """The parts of the page that show tables, figures and pages of samples."""
    bars = "Gen-PPL is the perplexity under the judge; lower is better, and repetition lowers it too. Intervals are of 95%."
    synthetic = "The data are 00 and 11, half each: the smallest case where tokens depend on each other. Both are written in one step."
    copies = "Do samples copy what a model was trained on? What does it know of pairs of noise and text that it was not trained on?"
    exact = "The corpus is a language whose every probability is known: it judges each text, and its exact marginals are the best MDM."
    error = "How far one step of a model is from the joint that the teacher gives by writing one position at a time."
    unmasked = "The same models, but the positions that are drawn in one step lie far apart. How much of a recipe's gain is left?"
    own = "Each with this run's models instead of the paper's. Tables 1, 2, 4 and 5 and Figure 2 stand above."
    paper = tuple(Path(output).stem for output in exhibits(params, "paper"))
    known = [Section("language-section", "Texts of the language", exact, ("language", "examples"))] * (params.corpus.name == "language")
    return [
        *known,
        Section("results", "Few-step generation", bars, ("figure02", "table04", "table05", "frontier", "quality")),
        Section("synthetic", "Synthetic task", synthetic, ("table01", "table02")),
        Section("memorization", "Memorization", copies, ("pairs", "copies"), "extras"),
        Section("unmasking-section", "Positions of a step", unmasked, ("unmasking",), "extras"),
        Section("factorization-section", "Factorization error", error, ("factorization",), "extras"),
        *([Section("exhibits", "The paper's tables and figures", own, paper, "paper")] if paper or left_out(params) else []),
    ]


def answer(results: Path) -> dict[str, Any]:
    """The run's summary, of its main table and, where it is made, the frontier."""
    return summary(read_comparison(results / "tables/tables.csv"))


def main_inputs(params: Params) -> list[str]:
    """What every page is made from, below results/RUN: the main tables, the main figures, the samples of every model compared."""
    tables, figures = [f"tables/{name}.json" for name in main_tables(params)], [f"figures/{name}.svg" for name in MAIN_FIGURES]
    return ["tables/tables.csv", *tables, *figures, *(f"samples/{model}/samples.safetensors" for model in scored(params))]


def render(params: Params, results: Path, data: Path, settings: Settings) -> str:
    """The whole page, of files that are checked to be of this run.

    Args:
        results: the folder results/RUN.
        data: dataset.json.
        settings: of the commands that make what is missing.

    Raises:
        UserError: a main table, a main figure or the samples of a model of the comparison are not of this run.
    """
    run, dataset, shown = Run(results, data, params.run), Dataset.open(data), [results / name for name in main_inputs(params)]

    def command(output: Path) -> str:
        return settings.command(output, again=output.exists())

    for file in shown:
        if fault := run.fault(file):
            raise UserError(f"{file} {fault}; run `{command(file.with_suffix(_MADE.get(file.suffix, file.suffix)))}`.")
    parts = sections(params)
    absent: dict[str, list[tuple[str, ...]]] = {part.id: [] for part in parts}  # label, output, why, and what makes it
    for part in parts:
        for output in map(Path, exhibits(params, part.page)):
            file = (results / output).with_suffix(_SHOWN.get(output.suffix, output.suffix))
            if file.stem in part.names and (fault := run.fault(file)):
                absent[part.id].append((heading(file.stem).partition(". ")[0], str(output), fault, command(results / output)))
            elif file.stem in part.names:
                shown.append(file)
    for output in (Path(output_of(name)) for name in left_out(params)):
        why = f"is left out: {no_di4c(params)}"
        absent["exhibits"].append((heading(output.stem).partition(". ")[0], str(output), why, command(results / output)))
    content = {suffix: {file.stem: _read(file) for file in shown if file.suffix == suffix} for suffix in (".json", ".svg", ".html")}
    metas = run.history(shown)
    return fill(
        "report.html.j2",
        run=params.run,
        verdict=verdict(answer(results)),
        dataset=dataset,
        sections=parts,
        absent=absent,
        make={page: settings.command(target) for page, target in (("report", "all"), ("extras", "extras"), ("paper", "paper"))},
        tables=content[".json"],
        figures=content[".svg"],
        pages=content[".html"],
        captions=CAPTIONS,
        samples=embedded_json(first_samples([file for file in shown if file.suffix == ".safetensors"], dataset)),
        mark=BREAK,
        timings=timings(metas, results),
        total=duration(sum(meta["seconds"] for meta in metas.values())),
    )


def _read(file: Path) -> View | str | dict[str, str]:
    """A table, a figure's SVG, or title and content of a page of samples."""
    if file.suffix == ".json":
        return read_view(file)
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".svg":
        return inline_svg(text, file.stem, title(file.stem))
    return {tag: text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0] for tag in ("title", "main")}


def inline_svg(text: str, name: str, label: str) -> str:
    """An SVG file as part of a page: no prolog, ids of its own, colours that follow the page's, as wide as its place."""
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text).replace("xlink:href", "href")
    for code, variable in (_INLINE | {"'DejaVu Sans'": "system-ui, sans-serif"}).items():
        text = text.replace(code, variable)
    head, rest = text.split(">", 1)
    head = re.sub(r'\s(width|height|version|xmlns:xlink|xmlns)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{label}">{rest}'


def embedded_json(value: Any) -> str:
    """JSON that is safe inside a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[&<>\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", text)
