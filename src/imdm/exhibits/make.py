"""Writes an exhibit's files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from imdm.data.blocks import Dataset
from imdm.exhibits.build import build_rows, build_view
from imdm.exhibits.captions import caption, dagger
from imdm.exhibits.figures import FIGURES, draw
from imdm.exhibits.pages import make_page
from imdm.exhibits.plan import PAGES
from imdm.exhibits.results import Scores
from imdm.exhibits.tables import describe, plain
from imdm.params import Params
from imdm.report.render import write_table


def make(exhibit: str, params: Params, results: Path, data: Dataset, folder: Path) -> None:
    """Write the files of an exhibit, named after it.

    Args:
        exhibit: a name that `plan.needs` knows.
        results: the folder results/RUN; `results.check` has checked what is needed of it.
        folder: where to write.

    Raises:
        UserError: a file is not what its stage writes, or does not fit the others.
    """
    if exhibit in PAGES:
        page = make_page(exhibit, params, results, data)
        (folder / f"{exhibit}.html").write_text(page.html(), encoding="utf-8")
        (folder / f"{exhibit}.txt").write_text(page.text(), encoding="utf-8")
    elif exhibit in FIGURES:
        tables = [plain(describe(params, name)) for name in FIGURES[exhibit]]
        draw([(table, build_rows(table, Scores(results, table))) for table in tables], folder / exhibit)
    else:
        table = describe(params, exhibit)
        scores = Scores(results, table)
        rows = build_rows(table, scores)
        view = build_view(table, rows, caption(table, scores, rows, data, params))
        write_table(folder, rows, replace(view, caption=f"{view.caption} {dagger(table, view)}".strip()))
