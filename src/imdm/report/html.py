"""report.html: everything a run found, in one file that needs nothing else."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imdm.data.blocks import Dataset
from imdm.errors import UserError
from imdm.report.audit_views import agreement, audit
from imdm.report.cells import View
from imdm.report.chain import chain_reading, chain_view
from imdm.report.dictionary import dictionary_reading, dictionary_view
from imdm.report.equal_entropy_view import frontier
from imdm.report.factorization import factorization_reading, factorization_view
from imdm.report.figures import CAPTIONS
from imdm.report.names import MAIN
from imdm.report.provenance import commands, duration, machines, parameters, read_metas, timings
from imdm.report.render import parse_markdown
from imdm.report.rows import Row, read_rows
from imdm.report.samples import BREAK, read_samples
from imdm.report.seeds import first_seed, seed_sentence
from imdm.report.style import COLOURS, GREY, GRID, INK
from imdm.report.summary import ratios, sentences
from imdm.report.views import views

if TYPE_CHECKING:
    from jinja2 import Environment

_INLINE = {INK: "var(--ink)", GRID: "var(--rule)", GREY: "var(--muted)"} | {code: f"var(--{name})" for name, code in COLOURS.items()}


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


def read_figures(folder: Path) -> list[dict[str, str]]:
    """name, caption and inline SVG of every figure, those that have a caption first and in its order.

    Raises:
        UserError: the folder holds no SVG.
    """
    files = {path.stem: path for path in sorted(folder.glob("*.svg"))}
    if not files:
        raise UserError(f"{folder} holds no .svg file; run stages/plot.py or correct --figures.")
    names = [name for name in CAPTIONS if name in files] + [name for name in files if name not in CAPTIONS]
    found = []
    for name in names:
        caption = CAPTIONS.get(name, name)
        label = caption.split(".")[0] if not caption.startswith("Figure") else ". ".join(caption.split(". ")[:2])
        found.append({"name": name, "caption": caption, "svg": inline_svg(files[name].read_text(encoding="utf-8"), name, label)})
    return found


@dataclass(frozen=True)
class Exhibits:
    """What stages/exhibit.py has made of a run so far.

    Attributes:
        tables: Tables 3 and 6 to 14, as far as they are there.
        figures: names of those of Figures 3 and 5.
        pages: title and HTML of each page of samples.
    """

    tables: list[View]
    figures: list[str]
    pages: list[tuple[str, str]]

    @property
    def any(self) -> bool:
        return bool(self.tables or self.figures or self.pages)


def read_exhibits(tables: Path, figures: Path) -> Exhibits:
    """Find the exhibits in a run's folders of tables and figures."""
    made = {path.stem: path for path in sorted(tables.glob("table*.md")) if path.stem not in MAIN}
    pages = [path.read_text(encoding="utf-8") for path in sorted(figures.glob("figure*.html"))]
    return Exhibits(
        [parse_markdown(path.read_text(encoding="utf-8"), name) for name, path in made.items()],
        [path.stem for path in sorted(figures.glob("figure*.svg")) if path.stem not in MAIN],
        [(_between(page, "title"), _between(page, "main")) for page in pages],
    )


def _between(page: str, tag: str) -> str:
    return page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]


def embedded_json(value: Any) -> str:
    """JSON that is safe inside a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[&<>\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", text)


def rerun_commands(params_file: str, sets: list[str]) -> list[tuple[str, str]]:
    """(what, command) of the ways to make this run again."""
    if params_file == "params.yaml":
        words = ["dvc", "exp", "run", *(word for item in sets for word in ("-S", item))] if sets else ["dvc", "repro"]
        found = [("One experiment, on this machine", shlex.join(words))]
    else:
        found = []
    options = ([] if params_file == "params.yaml" else ["--configfile", params_file]) + (["--config", *sets] if sets else [])
    found.append(("Everything, in parallel", shlex.join(["snakemake", "--cores", "2", *options, "all"])))
    return found + [("Everything, on a SLURM cluster", shlex.join(["snakemake", "--profile", "slurm", *options, "all"]))]


def environment() -> Environment:
    """Where the pages' templates are, with escaping on."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("imdm.report", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )


def render(data: Path, tables: Path, figures: Path, samples: Path, run: str, params_file: str, sets: list[str]) -> str:
    """The whole page.

    Args:
        data: dataset.json.
        tables, figures, samples: folders of a run; its meta.json files are looked for below the parent of `tables`.
        run: the run's name.
        params_file, sets: the parameter file and `--set` values, for the commands that make it again.

    Raises:
        UserError: an input is missing or not what its stage writes.
    """
    dataset = Dataset.open(data)
    found: list[Row] = read_rows(tables / "tables.csv")
    rows, over_seeds = first_seed(found), seed_sentence(found)
    metas = read_metas(tables.parent, data.parent)
    shown = read_samples(samples, dataset)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            dataset=dataset,
            summary=[*sentences(rows), *filter(None, [over_seeds])],
            ratios=ratios(rows),
            tables={view.name: view for view in [*views(rows), frontier(rows), audit(rows), agreement(rows)] if view.rows},
            dictionary=dictionary_view(rows),
            dictionary_reading=dictionary_reading(rows),
            chain=chain_view(rows),
            chain_reading=chain_reading(rows),
            factorization=factorization_view(rows),
            factorization_reading=factorization_reading(rows),
            exhibits=read_exhibits(tables, figures),
            figures={figure["name"]: figure for figure in read_figures(figures)},
            samples=embedded_json(shown),
            mark=BREAK,
            timings=timings(metas, tables.parent),
            total=duration(sum(meta["seconds"] for meta in metas.values())),
            parameters=parameters(metas, tables.parent),
            machines=machines(metas),
            reruns=rerun_commands(params_file, sets),
            commands=commands(metas),
        )
    )
