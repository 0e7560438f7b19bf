"""Tables as CSV, JSON, Markdown, LaTeX and terminal text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from imdm.results.frame import write_frame
from imdm.results.view import DAGGER, View, write_view

_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "|": r"\textbar{}"}
_SPECIAL |= {DAGGER: r"\dag{}", "±": r"$\pm$", "<": r"\textless{}", ">": r"\textgreater{}"} | {char: "\\" + char for char in "&%$#_{}"}


def write_table(folder: Path, frame: pd.DataFrame, view: View) -> None:
    """Write NAME.csv, NAME.json, NAME.md and NAME.tex."""
    write_frame(folder / f"{view.name}.csv", frame)
    write_view(folder / f"{view.name}.json", view)
    (folder / f"{view.name}.md").write_text(markdown(view), encoding="utf-8")
    (folder / f"{view.name}.tex").write_text(latex(view), encoding="utf-8")


def _texts(view: View) -> list[list[str]]:
    return [[cell.text for cell in line] for line in view.body]


def markdown(view: View) -> str:
    """A GitHub-flavoured table under its title, with the caption below."""
    grid = [view.columns, ["---"] + ["---:"] * (len(view.columns) - 1), *_texts(view)]
    table = "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in grid)
    return f"### {view.title}\n\n{table}\n\n{view.caption}\n"


def latex(view: View) -> str:
    """A floating table, with some space between groups of lines; the document needs booktabs, and graphicx for a wide one."""
    body, last = [], None
    for first, *rest in _texts(view):
        if view.grouped and last is not None and first != last:
            body.append(r"\addlinespace")
        body.append(_latex_line(["" if first == last else first, *rest]))
        last = first
    wide = len(view.columns) > 9
    size = r"\scriptsize\setlength{\tabcolsep}{3pt}" if len(view.columns) > 6 else r"\small"
    start = [rf"% needs \usepackage{{booktabs{',graphicx' if wide else ''}}}", r"\begin{table}", rf"\centering{size}"]
    start += [rf"\caption{{{_escape(view.caption)}}}", rf"\label{{tab:{view.name}}}", *([r"\resizebox{\textwidth}{!}{%"] if wide else [])]
    start += [rf"\begin{{tabular}}{{l{'r' * (len(view.columns) - 1)}}}", r"\toprule", _latex_line(view.columns), r"\midrule"]
    end = [r"\bottomrule", r"\end{tabular}" + ("}" if wide else ""), r"\end{table}", ""]
    return "\n".join([*start, *body, *end])


def _latex_line(texts: Sequence[str]) -> str:
    return " & ".join(map(_escape, texts)) + r" \\"


def _escape(text: str) -> str:
    return "".join(_SPECIAL.get(char, char) for char in text)


def plain(view: View, heads: Mapping[str, str] | None = None) -> str:
    """A table for a terminal, without title and caption; `heads` has those of the columns to show, and what stands there instead."""
    keep = [place for place, head in enumerate(view.columns) if heads is None or head in heads]
    head = [(heads or {}).get(text, text) for text in view.columns]
    grid = [[line[place] for place in keep] for line in (head, *_texts(view))]
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    lines, last = [], None
    for number, (first, *rest) in enumerate(grid):
        if number == 1:
            lines.append("  ".join("-" * width for width in widths))
        elif view.grouped and number and first != last:
            lines.append("")
        texts = ["" if first == last else first, *rest]
        lines.append(
            "  ".join([texts[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(rest, widths[1:], strict=True))]).rstrip()
        )
        last = first if number else None
    return "\n".join(lines)
