"""Tables as Markdown, LaTeX and terminal text."""

from __future__ import annotations

import re
from pathlib import Path

from imdm.report.audit_rows import copied_rows
from imdm.report.audit_views import agreement, audit
from imdm.report.cells import DAGGER, Cell, View, number
from imdm.report.chain import chain_view
from imdm.report.dictionary import dictionary_view
from imdm.report.equal_entropy_view import frontier
from imdm.report.factorization import factorization_view
from imdm.report.rows import Row, find, select, write_rows
from imdm.report.seeds import first_seed, seed_sentence
from imdm.report.summary import verdict
from imdm.report.views import table01, table02, table04, table05

_FILES = {"1": table01, "2": table02, "4": table04, "5": table05, "frontier": frontier, "audit": audit, "agreement": agreement}
_FILES |= {"dictionary": dictionary_view, "chain": chain_view, "factorization": factorization_view}
_WITH_COPIES = ("4", "5")


def markdown(view: View) -> str:
    """A GitHub-flavoured table under its title, with the caption below."""
    lines = [view.columns, ["---"] + ["---:"] * (len(view.columns) - 1)] + [[cell.text for cell in row] for row in view.rows]
    table = "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines)
    return f"### {view.title}\n\n{table}\n\n{view.caption}\n"


def parse_markdown(text: str, name: str) -> View:
    """The view that `markdown` wrote, its numbers taken from the text; NAME is that of its file."""
    title, table, caption = text.strip().split("\n\n", 2)
    columns, _, *lines = [[text.replace("\\|", "|") for text in re.split(r" (?<!\\)\| ", line[2:-2])] for line in table.splitlines()]
    body = []
    for line in lines:
        source = "paper" if "paper" in line else ""
        body.append([Cell(text, _leading(text), "disagree" if text.endswith(DAGGER) else source) for text in line])
    return View(name, title.removeprefix("### "), caption, columns, body)


def _leading(text: str) -> float | None:
    found = re.match(r"-?[\d,]*\.?\d+", text)
    return float(found[0].replace(",", "")) if found else None


def latex(view: View) -> str:
    """A floating table, with some space between groups of rows; the document needs booktabs, and graphicx for a wide one."""
    body, last = [], None
    for row in view.rows:
        if view.grouped and last is not None and row[0].text != last:
            body.append(r"\addlinespace")
        body.append(_line(["" if row[0].text == last else row[0].text] + [cell.text for cell in row[1:]]))
        last = row[0].text
    wide = len(view.columns) > 9
    size = r"\scriptsize\setlength{\tabcolsep}{3pt}" if len(view.columns) > 6 else r"\small"
    start = [rf"% needs \usepackage{{booktabs{',graphicx' if wide else ''}}}", r"\begin{table}", rf"\centering{size}"]
    start += [rf"\caption{{{_escape(view.caption)}}}", rf"\label{{tab:{view.name}}}", *([r"\resizebox{\textwidth}{!}{%"] if wide else [])]
    start += [rf"\begin{{tabular}}{{l{'r' * (len(view.columns) - 1)}}}", r"\toprule", _line(view.columns), r"\midrule"]
    end = [r"\bottomrule", r"\end{tabular}" + ("}" if wide else ""), r"\end{table}", ""]
    return "\n".join([*start, *body, *end])


def _line(texts: list[str]) -> str:
    return " & ".join(map(_escape, texts)) + r" \\"


_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "|": r"\textbar{}"}
_SPECIAL |= {DAGGER: r"\dag{}"} | {char: "\\" + char for char in "&%$#_{}"}


def _escape(text: str) -> str:
    return "".join(_SPECIAL.get(char, char) for char in text)


def write_table(folder: Path, rows: list[Row], view: View) -> None:
    """Write NAME.csv, NAME.md and NAME.tex."""
    write_rows(folder / f"{view.name}.csv", rows)
    (folder / f"{view.name}.md").write_text(markdown(view), encoding="utf-8")
    (folder / f"{view.name}.tex").write_text(latex(view), encoding="utf-8")


def write_tables(folder: Path, rows: list[Row]) -> None:
    """Write tables.csv, and NAME.csv, .md and .tex of Tables 1, 2, 4 and 5, of the frontier, the audit, the dictionary task, the
    Markov chain and the factorization error."""
    write_rows(folder / "tables.csv", rows)
    for table, make in _FILES.items():
        view = make(first_seed(rows))
        write_table(folder, select(rows, table=table) + (copied_rows(rows) if table in _WITH_COPIES else []), view)


def main_table_text(rows: list[Row]) -> str:
    """Table 4 without its intervals' small print, and what the run shows, for an 80 to 120 column terminal."""
    view = table04(first_seed(rows))
    short = {"paper ratio": "paper", "ratio, equal entropy": "at equal entropy"}
    hidden = ("paper MDLM", "paper IMDM", "MDLM, equal entropy", "IMDM, equal entropy", "MDLM, seeds", "IMDM, seeds")
    keep = [i for i, name in enumerate(view.columns) if name not in hidden and not name.startswith("copied")]
    lines = _aligned([[short.get(view.columns[i], view.columns[i]) for i in keep]] + [[row[i].text for i in keep] for row in view.rows])
    head = (
        "Gen-PPL (lower is better) with 95% intervals; Better: the intervals do not overlap; at equal entropy: IMDM / MDLM at the teacher's"
    )
    return "\n".join([head, "", *lines, "", *_footer(rows)])


def view_text(view: View) -> str:
    """A whole table for a terminal, under its title, with the caption below."""
    lines = _aligned([view.columns, *([cell.text for cell in row] for row in view.rows)])
    return "\n".join([view.title, "", *lines, "", view.caption])


def synthetic_text(rows: list[Row]) -> str:
    """Tables 1 and 2 for a terminal."""
    found = []
    for view in (table01(rows), table02(rows)):
        found += [view.title, "", *_aligned([view.columns, *([cell.text for cell in row] for row in view.rows)]), ""]
    return "\n".join([*found, "In brackets the least and the largest of the seeds; paper: what the paper reports."])


def _aligned(grid: list[list[str]]) -> list[str]:
    """Lines of a table whose first row is its head; a name that repeats is left out, and then each group stands apart."""
    grouped = len({row[0] for row in grid}) < len(grid)
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    rule = "  ".join("-" * width for width in widths)
    lines, last = [], None
    for i, line in enumerate(grid):
        name = "" if line[0] == last else line[0]
        if i == 1 or (grouped and i and name):
            lines.append(rule if i == 1 else "")
        last = line[0] if i else None
        cells = [name.ljust(widths[0])] + [text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines


def _footer(rows: list[Row]) -> list[str]:
    judge = find(rows, table="models", model="judge", metric="held_out_perplexity")
    lines = [verdict(first_seed(rows)), *filter(None, [seed_sentence(rows)])]
    if judge:
        lines.append(f"Judge {judge.setting!r}: own held-out perplexity {number(judge.value, judge.metric)}.")
    valid = [row for row in select(rows, table="1", metric="validity_pct") if row.setting.startswith("mean")]
    if valid:
        lines.append("Synthetic task, valid in one step: " + ", ".join(f"{row.model} {row.value:.1f}%" for row in valid) + ".")
    return lines
