"""Makes the files of stages tabulate and exhibit, in `folder`, from those of a run, in `results`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from imdm.data.blocks import Dataset
from imdm.params import Params
from imdm.results import collect, extras, plan, tables
from imdm.results.compare import exhibit_table
from imdm.results.draw import draw
from imdm.results.frame import RATIO, first_seed, read_frame, select, write_frame
from imdm.results.pages import sample_page
from imdm.results.scoreboard import quality
from imdm.results.view import View, write_view


def write_main(results: Path, params: Params, folder: Path) -> pd.DataFrame:
    """Write tables.csv, gen_ppl.csv and the files of every table of the main comparison, and return the frame.

    Raises:
        UserError: a result is missing, edited or damaged, or models do not fit each other.
    """
    frame = collect.main(results, params)
    write_frame(folder / "tables.csv", frame)
    shown = select(frame, kind="samples", metric="gen_ppl")
    by_steps = shown.pivot_table(index="steps", columns="model", values="value", sort=False).sort_index()  # what DVC plots
    by_steps.to_csv(folder / plan.BY_STEPS, float_format="%.6g", lineterminator="\n")
    language = params.corpus.name == "language"
    for table, kinds in (tables.LANGUAGE | tables.TABLES if language else tables.TABLES).items():
        _write(folder, table(frame), select(frame, kind=kinds))
    return frame


def write_exhibit(output: str, results: Path, params: Params, data: Dataset, folder: Path) -> None:
    """Write the files of a table, figure or page of samples that stands alone; errors as `write_main`'s.

    Args:
        output: its file below results/RUN, as tables/table06.csv; one that plan.files knows.
    """
    name = Path(output).stem
    if name in plan.PAGES:
        (folder / f"{name}.html").write_text(sample_page(name, params, results, data), encoding="utf-8")
    elif output.startswith("figures/"):
        frames = [read_frame(results / file) for file in plan.files(params, output)]
        draw(name, pd.concat(frames, ignore_index=True), folder / name)
    elif name == "frontier":
        curves = collect.frontiers(results, params)
        _write(folder, tables.frontier(pd.concat([read_frame(results / "tables/tables.csv"), curves], ignore_index=True)), curves)
    elif name == "scoreboard":
        frame = collect.scoreboard(results, params)
        _write(folder, quality(frame, name), frame)
    elif name in extras.TABLES:
        frame = _extra_frame(name, results, params)
        _write(folder, extras.TABLES[name](first_seed(frame)), frame)
    else:
        _write(folder, *exhibit_table(params, name, results))


def _extra_frame(name: str, results: Path, params: Params) -> pd.DataFrame:
    if name in ("copies", "pairs"):
        return select(collect.audits(results, params), kind=name)
    if name == "unmasking":
        return collect.unmasking(results, params)
    ratios = select(read_frame(results / "tables/tables.csv"), kind="samples", metric=RATIO)
    return pd.concat([collect.factorization(results, params), ratios], ignore_index=True)


def _write(folder: Path, view: View, frame: pd.DataFrame) -> None:
    """Write NAME.csv, NAME.json, NAME.md and NAME.tex of a table."""
    write_frame(folder / f"{view.name}.csv", frame)
    write_view(folder, view)
