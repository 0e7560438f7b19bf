"""report.html, paper.html and extras.html: what a run holds, in one file that needs nothing else."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imdm.data.blocks import Dataset
from imdm.errors import UserError
from imdm.params import Params
from imdm.results.draw import CAPTIONS
from imdm.results.frame import read_frame
from imdm.results.plan import MAIN_FIGURES, MAIN_TABLES, exhibits, models, title
from imdm.results.provenance import Run, Settings, duration, machines, parameters, timings
from imdm.results.samples import BREAK, first_samples
from imdm.results.style import COLOURS, GREY, GRID, INK
from imdm.results.verdict import verdict
from imdm.results.view import View, read_view

if TYPE_CHECKING:
    from jinja2 import Environment

_INLINE = {INK: "var(--ink)", GRID: "var(--rule)", GREY: "var(--muted)"} | {code: f"var(--{name})" for name, code in COLOURS.items()}
_SHOWN = {".csv": ".json", ".png": ".svg", ".html": ".html"}  # what a page shows of an output


@dataclass
class Section:
    """A part of the page.

    Attributes:
        names: the tables, figures and pages of samples in it, in their order.
        target: what Snakemake makes them by: extras or paper.
        absent: (name, output, why, command) of what is not there, or not of this run.
    """

    id: str
    heading: str
    text: str
    names: tuple[str, ...]
    target: str = "all"
    absent: list[tuple[str, str, str, str]] = field(default_factory=list)


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
        Section("results", "Few-step generation", claim, ("ratios", "figure02", "table04", "table05", "frontier", "quality")),
        Section("synthetic", "Synthetic task", synthetic, ("table01", "table02")),
        Section("memorization", "Memorization", copies, ("pairs", "copies"), "extras"),
        Section("dictionary-section", "Dictionary task", words, ("dictionary",), "extras"),
        Section("chain-section", "Markov chain task", chain, ("chain",), "extras"),
        Section("factorization-section", "Factorization error", error, ("factorization",), "extras"),
        *([Section("exhibits", "The paper's tables and figures", own, paper, "paper")] if paper else []),
    ]


@dataclass
class Shown:
    """What a page shows of a run, by name, and the files that it was read from."""

    tables: dict[str, View] = field(default_factory=dict)
    figures: dict[str, dict[str, str]] = field(default_factory=dict)  # svg and caption
    pages: dict[str, dict[str, str]] = field(default_factory=dict)  # title and main
    files: list[Path] = field(default_factory=list)

    def add(self, file: Path) -> None:
        """Read the JSON of a table, the SVG of a figure, or a page of samples."""
        name, text = file.stem, file.read_text(encoding="utf-8")
        self.files.append(file)
        if file.suffix == ".json":
            self.tables[name] = read_view(file)
        elif file.suffix == ".svg":
            self.figures[name] = {"svg": inline_svg(text, name, title(name)), "caption": CAPTIONS[name]}
        else:
            self.pages[name] = {tag: text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0] for tag in ("title", "main")}


def main_inputs(params: Params) -> list[str]:
    """What every page is made from, below results/RUN: the main tables, the main figures, the samples of every model compared."""
    figures = [f"figures/{name}.svg" for name in MAIN_FIGURES]
    return ["tables/tables.csv", *figures, *(f"samples/{model}/samples.safetensors" for model in models(params))]


def read_run(run: Run, params: Params, parts: list[Section], settings: Settings) -> Shown:
    """Check every file of a run that the page may show, and read those that are of this run.

    Args:
        parts: get what is absent.

    Raises:
        UserError: a main table, a main figure or the samples of a model of the comparison are not of this run.
    """
    shown = Shown()
    made = (run.meta(run.results / "tables/tables.csv") or {"outputs": []})["outputs"]
    tables = dict.fromkeys([*(f"{name}.json" for name in MAIN_TABLES), *(name for name in made if name.endswith(".json"))])
    required = [run.results / name for name in (*main_inputs(params), *(f"tables/{name}" for name in tables))]
    for file in required:
        fault = run.fault(file)
        if fault:
            output = file.with_suffix({".json": ".csv", ".svg": ".png"}.get(file.suffix, file.suffix))
            raise UserError(f"{file} {fault}; run `{settings.remake(output)}`.")
    for file in required:
        if file.suffix in (".json", ".svg"):
            shown.add(file)
    for part in parts:
        for output in exhibits(params, part.target) if part.target != "all" else ():
            file = run.results / output
            if file.stem not in part.names:
                continue
            page = file.with_suffix(_SHOWN[file.suffix])
            fault = run.fault(page)
            if fault:
                label = f"{file.stem[:-2].capitalize()} {int(file.stem[-2:])}" if file.stem[-2:].isdigit() else title(file.stem)
                part.absent.append((label, output, fault, settings.remake(file)))
            else:
                shown.add(page)
    return shown


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


def render(params: Params, results: Path, data: Path, settings: Settings) -> str:
    """The whole page.

    Args:
        results: the folder results/RUN.
        data: dataset.json.
        settings: of the commands that make it again.

    Raises:
        UserError: a main table, a main figure or samples are missing or of another run.
    """
    run, dataset = Run(results, data, params.run), Dataset.open(data)
    parts = sections(params, verdict(read_frame(results / "tables/tables.csv")))
    shown = read_run(run, params, parts, settings)
    samples = [results / name for name in main_inputs(params) if name.startswith("samples/")]
    metas = run.history([*shown.files, *samples])
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            run=params.run,
            dataset=dataset,
            sections=parts,
            make={target: settings.snakemake(target) for target in ("extras", "paper")},
            shown=shown,
            samples=embedded_json(first_samples(samples, dataset)),
            mark=BREAK,
            timings=timings(metas, results),
            total=duration(sum(meta["seconds"] for meta in metas.values())),
            parameters=parameters(metas, results),
            machines=machines(metas),
            reruns=settings.commands(),
        )
    )
