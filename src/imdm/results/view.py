"""A table as a reader sees it, and its files: JSON, of which pages are made, Markdown, LaTeX, and text for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from imdm.errors import UserError
from imdm.files import read_json

NONE = "–"
DAGGER = "†"
_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "|": r"\textbar{}"}
_LATEX |= {DAGGER: r"\dag{}", "±": r"$\pm$", "<": r"\textless{}", ">": r"\textgreater{}"} | {char: "\\" + char for char in "&%$#_{}"}


@dataclass(frozen=True)
class Cell:
    """Text as shown, the number it sorts by, and how it is marked: `win`, `lose`, `tie`, `paper`, `disagree` or nothing."""

    text: str
    sort: float | None = None
    mark: str = ""


@dataclass(frozen=True)
class View:
    """A table.

    Attributes:
        name: the stem of its files.
        columns: their heads.
        body: lines of cells. The first cell of each names its group.
    """

    name: str
    title: str
    caption: str
    columns: list[str]
    body: list[list[Cell]]

    @property
    def starts(self) -> set[int]:
        """The lines that begin another group, where some group has several lines."""
        names = [line[0].text for line in self.body]
        return {place for place in range(1, len(names)) if names[place] != names[place - 1]} if len(set(names)) < len(names) else set()

    @property
    def words(self) -> list[int]:
        """The columns that hold words, which stand at the left, and no numbers."""
        columns = ([line[place] for line in self.body if line[place].text != NONE] for place in range(len(self.columns)))
        return [place for place, column in enumerate(columns) if column and all(cell.sort is None for cell in column)]

    def lines(self) -> Iterator[tuple[bool, list[str]]]:
        """Whether a line begins another group, and its texts, the group's name in its first line alone."""
        names = [None, *(line[0].text for line in self.body)]
        for place, (first, *rest) in enumerate([cell.text for cell in line] for line in self.body):
            yield place in self.starts, ["" if first == names[place] else first, *rest]


def write_view(folder: Path, view: View) -> None:
    """Write NAME.json, NAME.md and NAME.tex."""
    text = {"json": json.dumps(asdict(view), ensure_ascii=False, indent=1) + "\n", "md": markdown(view), "tex": latex(view)}
    for suffix, content in text.items():
        (folder / f"{view.name}.{suffix}").write_text(content, encoding="utf-8")


def read_view(path: str | Path) -> View:
    """Read the JSON that `write_view` wrote. Raises UserError: the file is missing or no view."""
    again = f"run `snakemake --force {Path(path).with_suffix('.csv')}`"
    view = read_json(path, View, "a table of this project", again)
    if any(len(line) != len(view.columns) for line in view.body):
        raise UserError(f"{path} has lines that are not as long as its head; {again}.")
    return view


def markdown(view: View) -> str:
    """A GitHub-flavoured table under its title, with the caption below."""
    body = [[cell.text for cell in line] for line in view.body]
    grid = [view.columns, ["---"] + ["---:"] * (len(view.columns) - 1), *body]
    table = "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in grid)
    return f"### {view.title}\n\n{table}\n\n{view.caption}\n"


def latex(view: View) -> str:
    """A floating table, with some space between groups of lines; the document needs booktabs, and graphicx for a wide one."""
    size = r"\scriptsize\setlength{\tabcolsep}{3pt}" if len(view.columns) > 6 else r"\small"
    before, after = ("\\resizebox{\\textwidth}{!}{%\n", "}") if len(view.columns) > 9 else ("", "")
    lines = "\n".join(begins * "\\addlinespace\n" + _latex_line(line) for begins, line in view.lines())
    return rf"""% needs \usepackage{{booktabs{",graphicx" * bool(before)}}}
\begin{{table}}
\centering{size}
\caption{{{_escape(view.caption)}}}
\label{{tab:{view.name}}}
{before}\begin{{tabular}}{{l{"r" * (len(view.columns) - 1)}}}
\toprule
{_latex_line(view.columns)}
\midrule
{lines}
\bottomrule
\end{{tabular}}{after}
\end{{table}}
"""


def _latex_line(texts: Sequence[str]) -> str:
    return " & ".join(map(_escape, texts)) + r" \\"


def _escape(text: str) -> str:
    return text.translate({ord(char): latex for char, latex in _LATEX.items()})


def plain(view: View, groups_above: bool = False) -> str:
    """A table for a terminal, without title and caption; the groups' names stand above their lines, or in the first column."""
    lines, start = list(view.lines()), int(groups_above)
    grid = [line[start:] for line in (view.columns, *(line for _, line in lines))]
    widths = [max(map(len, column)) for column in zip(*grid)]

    def joined(first: str, *rest: str) -> str:
        return "  ".join([first.ljust(widths[0]), *map(str.rjust, rest, widths[1:])]).rstrip()

    text = [joined(*grid[0]), joined(*("-" * width for width in widths))]
    for (begins, line), kept in zip(lines, grid[1:], strict=True):
        text += [""] * begins + [line[0]] * (groups_above and bool(line[0])) + [joined(*kept)]
    return "\n".join(text)
