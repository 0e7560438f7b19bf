"""report.html, paper.html and extras.html: what a run holds, in one file that needs nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from imdm.data.blocks import Dataset
from imdm.data.speller import BREAK
from imdm.errors import UserError
from imdm.params import Params
from imdm.results.comparison import verdict
from imdm.results.draw import CAPTIONS
from imdm.results.frame import read_frame
from imdm.results.panels import COLOURS, GREY, GRID, INK
from imdm.results.plan import MAIN_FIGURES, MAIN_TABLES, exhibits, heading, models, title
from imdm.results.provenance import Run, Settings, duration, timings
from imdm.results.samples import first_samples
from imdm.results.view import View, read_view

if TYPE_CHECKING:
    from jinja2 import Environment

_INLINE = {INK: "var(--ink)", GRID: "var(--rule)", GREY: "var(--muted)"} | {code: f"var(--{name})" for name, code in COLOURS.items()}
_SHOWN = {".csv": ".json", ".png": ".svg"}  # what a page shows of an output


class Section(NamedTuple):
    """A part of the page: the tables, figures and pages of samples in it, in their order, and the target that makes them."""

    id: str
    heading: str
    text: str
    names: tuple[str, ...]
    target: str = "all"


class Absent(NamedTuple):
    """An output that is not there, or not of this run: why, and what makes it."""

    label: str
    output: str
    why: str
    command: str


def sections(params: Params, claim: str) -> list[Section]:
    """The parts of the page that show tables, figures and pages of samples, with the run's verdict on the paper's claim."""
    synthetic = "The data are 00 and 11, half each: the smallest case where tokens depend on each other. Both are written in one step."
    copies = "Do samples copy what a model was trained on, and what does it know of pairs of noise and text that it was not trained on?"
    words = "Between {00, 11} and text: the data are K words of L letters, so that every probability of one step can be computed."
    chain = "A language whose every probability is known. The best MDM has exact conditional marginals in the place of a network."
    error = "How far what a model writes in one step is from the joint that the teacher gives by writing one position at a time."
    own = "Each with this run's models in the place of the paper's. Tables 1, 2, 4 and 5 and Figure 2 stand above."
    paper = tuple(Path(output).stem for output in exhibits(params, "paper"))
    return [
        Section("results", "Few-step generation", claim, ("figure02", "table04", "table05", "frontier", "quality")),
        Section("synthetic", "Synthetic task", synthetic, ("table01", "table02")),
        Section("memorization", "Memorization", copies, ("pairs", "copies"), "extras"),
        Section("dictionary-section", "Dictionary task", words, ("dictionary",), "extras"),
        Section("chain-section", "Markov chain task", chain, ("chain",), "extras"),
        Section("factorization-section", "Factorization error", error, ("factorization",), "extras"),
        *([Section("exhibits", "The paper's tables and figures", own, paper, "paper")] if paper else []),
    ]


def main_inputs(params: Params) -> list[str]:
    """What every page is made from, below results/RUN: the main tables, the main figures, the samples of every model compared."""
    tables, figures = [f"tables/{name}.json" for name in MAIN_TABLES], [f"figures/{name}.svg" for name in MAIN_FIGURES]
    return ["tables/tables.csv", *tables, *figures, *(f"samples/{model}/samples.safetensors" for model in models(params))]


def render(params: Params, results: Path, data: Path, settings: Settings) -> str:
    """The whole page, of files that are checked to be of this run.

    Args:
        results: the folder results/RUN.
        data: dataset.json.
        settings: of the commands that make what is missing.

    Raises:
        UserError: a main table, a main figure or the samples of a model of the comparison are not of this run.
    """
    run, dataset = Run(results, data, params.run), Dataset.open(data)
    files = [results / name for name in main_inputs(params)]
    for file in files:
        if fault := run.fault(file):
            output = file.with_suffix({".json": ".csv", ".svg": ".png"}.get(file.suffix, file.suffix))
            raise UserError(f"{file} {fault}; run `{settings.command(output, output.exists())}`.")
    parts = sections(params, verdict(read_frame(results / "tables/tables.csv")))
    absent: dict[str, list[Absent]] = {part.id: [] for part in parts}
    for part in parts:
        for output in exhibits(params, part.target):
            file = (results / output).with_suffix(_SHOWN.get(Path(output).suffix, ".html"))
            if file.stem not in part.names:
                continue
            if fault := run.fault(file):
                command = settings.command(results / output, (results / output).exists())
                absent[part.id].append(Absent(heading(file.stem).partition(". ")[0], output, fault, command))
            else:
                files.append(file)
    shown = {suffix: {file.stem: _read(file) for file in files if file.suffix == suffix} for suffix in (".json", ".svg", ".html")}
    metas = run.history(files)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            run=params.run,
            dataset=dataset,
            sections=parts,
            absent=absent,
            make={target: settings.command(target) for target in ("all", "extras", "paper")},
            tables=shown[".json"],
            figures=shown[".svg"],
            pages=shown[".html"],
            captions=CAPTIONS,
            samples=embedded_json(first_samples([file for file in files if file.suffix == ".safetensors"], dataset)),
            mark=BREAK,
            timings=timings(metas, results),
            total=duration(sum(meta["seconds"] for meta in metas.values())),
        )
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
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    for code, variable in _INLINE.items():
        text = text.replace(code, variable)
    text = text.replace("'DejaVu Sans'", "system-ui, sans-serif")
    head, rest = text.split(">", 1)
    head = re.sub(r'\s(width|height|version|xmlns:xlink|xmlns)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{label}">{rest.replace("xlink:href", "href")}'


def embedded_json(value: Any) -> str:
    """JSON that is safe inside a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[&<>\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", text)


def environment() -> Environment:
    """Where the pages' templates are, with escaping on."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("imdm.results", ".")
    return Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
