"""Makes the files of stages tabulate and exhibit."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from imdm.data.blocks import Dataset
from imdm.params import Params
from imdm.results import collect, plan
from imdm.results.exhibits import extras, main
from imdm.results.exhibits.compare import exhibit_table, numbers
from imdm.results.frame import RATIO, first_seed, read_frame, select, write_frame
from imdm.results.layout import make_view
from imdm.results.seeds import with_seed_means
from imdm.results.write import write_table

_KINDS = {"table01": ["synthetic"], "table02": ["synthetic"], "frontier": ["frontier", "equal_entropy"]}
_SAMPLES = ["samples", "reference", "equal_entropy", "judge"]


def write_main(results: Path, params: Params, folder: Path) -> pd.DataFrame:
    """Write tables.csv and the files of every table of the main comparison, and return the frame.

    Args:
        results: the folder results/RUN.
        folder: where to write.

    Raises:
        UserError: a result is missing, edited or damaged, or models do not fit each other.
    """
    frame = collect.main(results, params)
    write_frame(folder / "tables.csv", frame)
    shown = with_seed_means(frame)
    for table in main.tables(frame):
        write_table(folder, select(frame, kind=_KINDS.get(table.name, _SAMPLES)), make_view(table, shown))
    return frame


def write_exhibit(output: str, results: Path, params: Params, data: Dataset, folder: Path) -> None:
    """Write the files of a table, figure or page of samples that stands alone.

    Args:
        output: its file below results/RUN, as tables/table06.csv; one that plan.files knows.
        results, params, folder: as in `write_main`, and errors as there.
    """
    name = Path(output).stem
    if name in plan.PAGES:
        from imdm.results.pages import make_page

        make_page(name, params, results, data).write(folder / name)
    elif output.startswith("figures/"):
        from imdm.results.draw import draw

        tables = {"figure03": ("table06", "table07"), "figure05": ("table09", "table10")}.get(name, ())
        frames = [numbers(params, table, results) for table in tables] or [extra_frame(name, results, params)]
        draw(name, pd.concat(frames, ignore_index=True), folder / name, params)
    elif name in extras.TABLES:
        frame = extra_frame(name, results, params)
        write_table(folder, frame, make_view(extras.TABLES[name](first_seed(frame)), first_seed(frame)))
    else:
        table, frame = exhibit_table(params, name, results, data)
        write_table(folder, frame, make_view(table, frame))


def extra_frame(name: str, results: Path, params: Params) -> pd.DataFrame:
    """The frame of one of plan.EXTRA_TABLES."""
    if name in ("copies", "pairs"):
        return select(collect.audits(results, params), kind=name)
    if name == "factorization":
        ratios = select(read_frame(results / "tables/tables.csv"), kind="samples", metric=RATIO)
        return pd.concat([collect.factorization(results, params), ratios], ignore_index=True)
    return collect.small_task(results / plan.files(params, f"tables/{name}.csv")[0])
