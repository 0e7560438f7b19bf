"""From the frame to a table: what stands in each column and in each line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from imdm.results import plan
from imdm.results.cells import paper_cell, value_cell
from imdm.results.frame import Find, Number, finder, select
from imdm.results.names import name_of
from imdm.results.view import NONE, Cell, View

Line = dict[str, Any]  # what a line of a table is about; with `paper` it shows the paper's numbers


@dataclass(frozen=True)
class Column:
    """A column of a table: its head, and the cell of each line."""

    head: str
    cell: Callable[[Line, Find], Cell]


def words(head: str, text: Callable[[Line], str]) -> Column:
    """A column of names at the left."""
    return Column(head, lambda line, find: Cell(text(line)))


MODEL = words("Model", lambda line: name_of(line["model"]))
STEPS = Column("Steps", lambda line, find: Cell(NONE) if line["steps"] is None else Cell(str(line["steps"]), line["steps"]))


def numbers(head: str, where: Callable[[Line], dict[str, Any] | None], show: Callable[[Number | None], Cell] | None = None) -> Column:
    """A column of numbers.

    Args:
        where: values of the frame's columns by which a line's number is found; None where the line has none there.
        show: the number's cell, where it is not `value_cell`.
    """

    def cell(line: Line, find: Find) -> Cell:
        wanted = where(line)
        number = None if wanted is None else find(**wanted)
        return (paper_cell if line.get("paper") else show or value_cell)(number)

    return Column(head, cell)


def metric_column(head: str, metric: str, show: Callable[[Number | None], Cell] | None = None, **more: Any) -> Column:
    """A column of one metric, where lines are values of the frame's other columns."""
    return numbers(head, lambda line: line | {"metric": metric} | more, show)


def make_view(name: str, caption: str, columns: Sequence[Column], lines: Sequence[Line], frame: pd.DataFrame) -> View:
    """A table with the numbers of the frame."""
    find = finder(frame)
    body = [[column.cell(line, find) for column in columns] for line in lines]
    return View(name, plan.heading(name), caption, [column.head for column in columns], body)


def distinct(frame: pd.DataFrame, *columns: str) -> list[Line]:
    """A line for each combination of values that the frame has, in its order; None where a column says nothing."""
    lines = frame[list(columns)].drop_duplicates().astype(object).to_dict("records")
    return [{name: None if pd.isna(value) else value for name, value in line.items()} for line in lines]


def metrics_in(frame: pd.DataFrame, **wanted: Any) -> list[str]:
    """The metrics of the selected lines, in the frame's order."""
    return list(select(frame, **wanted)["metric"].unique())
