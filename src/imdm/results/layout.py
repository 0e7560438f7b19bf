"""From a table's declaration and the frame to what a reader sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from imdm.results.digits import paper_cell, value_cell
from imdm.results.frame import Number, one, select
from imdm.results.names import name_of
from imdm.results.view import NONE, Cell, View

Line = dict[str, Any]  # what a line of the table is about; with `paper` it shows the paper's numbers


@dataclass(frozen=True)
class Side:
    """A column of names at the left: its head, and the cell of each line."""

    head: str
    cell: Callable[[Line], Cell]


@dataclass(frozen=True)
class Column:
    """A column of numbers.

    Attributes:
        where: values of the frame's columns by which a line's number is found; None where the line has none there.
        show: the number's cell, for columns that aren't written as `value_cell` does.
    """

    head: str
    where: Callable[[Line], dict[str, Any] | None]
    show: Callable[[Number | None], Cell] | None = None


@dataclass(frozen=True)
class Table:
    """The declaration of a table: its caption, what stands at the left, what runs down and what across."""

    name: str
    title: str
    caption: str
    sides: Sequence[Side]
    lines: Sequence[Line]
    columns: Sequence[Column]


MODEL = Side("Model", lambda line: Cell(name_of(line["model"])))
STEPS = Side("Steps", lambda line: Cell(NONE) if line["steps"] is None else Cell(str(line["steps"]), line["steps"]))


def make_view(table: Table, frame: pd.DataFrame) -> View:
    """A table with the numbers of the frame."""
    heads = [part.head for part in (*table.sides, *table.columns)]
    body = []
    for line in table.lines:
        names = [side.cell(line) for side in table.sides]
        body.append([*names, *(_cell(column, line, frame) for column in table.columns)])
    return View(table.name, table.title, table.caption, heads, body)


def _cell(column: Column, line: Line, frame: pd.DataFrame) -> Cell:
    wanted = column.where(line)
    number = None if wanted is None else one(frame, **wanted)
    return (paper_cell if line.get("paper") else column.show or value_cell)(number)


def distinct(frame: pd.DataFrame, *columns: str) -> list[Line]:
    """A line for each combination of values that the frame has, in its order; None where a column says nothing."""
    found = frame[list(columns)].drop_duplicates()
    return [{name: None if pd.isna(value) else value for name, value in line.items()} for line in found.astype(object).to_dict("records")]


def metrics_in(frame: pd.DataFrame, **wanted: Any) -> list[str]:
    """The metrics of the selected lines, in the frame's order."""
    return list(select(frame, **wanted)["metric"].unique())
