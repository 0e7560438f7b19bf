"""report.html, paper.html and extras.html: what a run holds, in one file that needs nothing else."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from imdm.data.blocks import Dataset
from imdm.errors import UserError
from imdm.params import Params
from imdm.results.draw import CAPTIONS
from imdm.results.frame import read_frame
from imdm.results.plan import MAIN_FIGURES, MAIN_TABLES, exhibits, models, title
from imdm.results.provenance import Run, commands, duration, machines, parameters, rerun_commands, snakemake, timings
from imdm.results.samples import BREAK, first_samples
from imdm.results.style import COLOURS, GREY, GRID, INK
from imdm.results.verdict import verdict
from imdm.results.view import View, read_view

if TYPE_CHECKING:
    from jinja2 import Environment

_INLINE = {INK: "var(--ink)", GRID: "var(--rule)", GREY: "var(--muted)"} | {code: f"var(--{name})" for name, code in COLOURS.items()}
_SHOWN = {".csv": ".json", ".png": ".svg", ".html": ".html"}  # what a page shows of an output


class Section(NamedTuple):
    """A part of the page: its id, heading and text, and the tables, figures and pages of samples in it, in their order.

    `page` is the target of the Snakefile that makes what is not there: extras or paper; empty where all must be there.
    """

    id: str
    heading: str
    text: str
    names: tuple[str, ...]
    page: str = "extras"


_MEMORIZATION = (
    "ReDi trains on a finite set of pairs of noise and text. Where the teacher ignores the noise, no map leads from one to the other, and a "
    "student can only remember them. Two questions: do samples copy, and what does a model know of pairs that it was not trained on?"
)
_SYNTHETIC = (
    "The smallest case where tokens depend on each other: the data are 00 and 11, half each. A model with one mask draws the two tokens "
    "independently in one step and is right half of the time; noise in the mask lets both tokens agree."
)
_DICTIONARY = (
    "Between {00, 11} and text: the data are K words of L letters, so that every probability of one step can be computed. Students on random "
    "pairs of noise and word can only remember them; on noise-driven pairs, whose teacher draws with the noise itself, they can learn a map."
)
_CHAIN = (
    "A language whose every probability is known: sequences of a Markov chain, fresh in every training step. The best MDM has exact "
    "conditional marginals in the place of a network: what it lacks is only the dependence between tokens that are drawn in the same step."
)
_FACTORIZATION = (
    "How far the tokens that a model writes in one step are from the joint that the teacher gives by writing the same positions one at a time."
)
_PAPER = "Each with this run's models in the place of the paper's, and the paper's numbers. Tables 1, 2, 4 and 5 and Figure 2 stand above."


def sections(params: Params) -> list[Section]:
    """The parts of the page that show tables, figures and pages of samples."""
    own = [Path(output).stem for output in exhibits(params, "paper")]
    return [
        Section("results", "Few-step generation", "", ("figure02", "table04", "table05", "frontier", "quality"), ""),
        Section("synthetic", "Synthetic task", _SYNTHETIC, ("table01", "table02"), ""),
        Section("memorization", "Memorization", _MEMORIZATION, ("pairs", "copies")),
        Section("dictionary-section", "Dictionary task", _DICTIONARY, ("dictionary",)),
        Section("chain-section", "Markov chain task", _CHAIN, ("chain",)),
        Section("factorization-section", "Factorization error on text", _FACTORIZATION, ("factorization",)),
        *([Section("exhibits", "The paper's tables and figures", _PAPER, tuple(own), "paper")] if own else []),
    ]


@dataclass
class Contents:
    """What a page shows of a run, by name.

    Attributes:
        figures: inline SVG and caption.
        pages: title and HTML of a page of samples.
        absent: (what, why, command that makes it) of what is not there, or not of this run.
        files: every file that is shown.
    """

    tables: dict[str, View] = field(default_factory=dict)
    figures: dict[str, tuple[str, str]] = field(default_factory=dict)
    pages: dict[str, tuple[str, str]] = field(default_factory=dict)
    absent: dict[str, list[tuple[str, str, str]]] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)

    def add(self, file: Path) -> None:
        """Show a file that is of this run: the JSON of a table, the SVG of a figure, or a page of samples."""
        self.files.append(file)
        if file.suffix == ".json":
            self.tables[file.stem] = read_view(file)
        elif file.suffix == ".svg":
            svg = inline_svg(file.read_text(encoding="utf-8"), file.stem, title(file.stem))
            self.figures[file.stem] = svg, CAPTIONS[file.stem]
        else:
            page = file.read_text(encoding="utf-8")
            self.pages[file.stem] = _between(page, "title"), _between(page, "main")


def _between(page: str, tag: str) -> str:
    return page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]


def sample_files(params: Params) -> list[str]:
    """The samples that the page plays, below results/RUN."""
    return [f"samples/{model}/samples.safetensors" for model in models(params)]


def main_files(params: Params) -> list[str]:
    """What every page shows, below results/RUN."""
    tables, figures = (f"tables/{name}.json" for name in MAIN_TABLES), (f"figures/{name}.svg" for name in MAIN_FIGURES)
    return ["tables/tables.csv", *tables, *figures, *sample_files(params)]


def contents(run: Run, params: Params, params_file: str, sets: list[str]) -> Contents:
    """Check every file of a run that the page may show, and read those that are of this run.

    Raises:
        UserError: a main table, a main figure or the samples of a model of the comparison are not of this run.
    """
    shown = Contents()
    for name in main_files(params):
        fault = run.fault(run.results / name)
        if fault:
            target = (run.results / name).with_suffix({".json": ".csv", ".svg": ".png"}.get(Path(name).suffix, Path(name).suffix))
            raise UserError(f"{run.results / name} {fault}; run `{snakemake(params_file, sets, target.as_posix())}`.")
    main_tables = sorted(name for name in run.meta(run.results / "tables/tables.csv")["outputs"] if name.endswith(".json"))
    for name in [*(f"tables/{name}" for name in main_tables), *(f"figures/{name}.svg" for name in MAIN_FIGURES)]:
        shown.add(run.results / name)
    for output in dict.fromkeys(output for page in ("extras", "paper") for output in exhibits(params, page)):
        file = run.results / output
        fault = run.fault(file.with_suffix(_SHOWN[file.suffix]))
        if fault:
            command = snakemake(params_file, sets, file.as_posix())
            shown.absent.setdefault(file.stem, []).append((output, "was not made" if fault == "does not exist" else fault, command))
        else:
            shown.add(file.with_suffix(_SHOWN[file.suffix]))
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


def render(params: Params, results: Path, data: Path, params_file: str, sets: list[str]) -> str:
    """The whole page.

    Args:
        results: the folder results/RUN.
        data: dataset.json.
        params_file, sets: the parameter file and `--set` values, for the commands that make it again.

    Raises:
        UserError: a main table, a main figure or samples are missing or of another run.
    """
    run, dataset = Run(results, data, params.run), Dataset.open(data)
    shown = contents(run, params, params_file, sets)
    samples = [results / name for name in sample_files(params)]
    metas = run.history([*shown.files, *samples])
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            run=params.run,
            dataset=dataset,
            verdict=verdict(read_frame(results / "tables/tables.csv")),
            sections=sections(params),
            make={page: snakemake(params_file, sets, page) for page in ("extras", "paper")},
            shown=shown,
            samples=embedded_json(first_samples(samples, dataset)),
            mark=BREAK,
            timings=timings(metas, results),
            total=duration(sum(meta["seconds"] for meta in metas.values())),
            parameters=parameters(metas, results),
            machines=machines(metas),
            reruns=rerun_commands(params_file, sets),
            commands=commands(metas),
        )
    )
