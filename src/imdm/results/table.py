"""From the frame to a table: what stands in each column and in each line, and how a number is written and marked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from imdm.results.frame import RATIO, Find, Number, decided, finder, select
from imdm.results.names import BASELINE, TEACHER, metric_name, name_of
from imdm.results.plan import heading
from imdm.results.view import NONE, Cell, View

Line = dict[str, Any]  # what a line of a table is about
MARKS = {"ours": "win", "base": "lose", "tie": "tie", "": ""}


def digits(value: float, metric: str) -> str:
    """A value with as many digits as its metric deserves; what rounds to zero has no sign."""
    if metric == "parameters" or abs(value) >= 1000:
        return f"{value:,.0f}"
    if "perplexity" in metric or metric == "val_ppl" or metric.startswith("gen_ppl") and metric != RATIO:
        return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"
    places = 2 if metric.endswith("_pct") or metric in (RATIO, "token_entropy_nats") else 4 if metric.startswith("error") else 3
    return f"{value:z.{places}f}"


def value_cell(number: Number | None, mark: str = "") -> Cell:
    """`value [low, high]`, without the brackets where there is no interval or it has no width; `> low` or `< high` without a value."""
    if number is None or number.value is number.low is number.high is None:
        return Cell(NONE)
    ends = [NONE if end is None else digits(end, number.metric) for end in (number.low, number.high)]
    if number.value is None:
        return Cell(f"< {ends[1]}" if number.low is None else f"> {ends[0]}")
    text = digits(number.value, number.metric)
    return Cell(text if set(ends) in ({text}, {NONE}) else f"{text} [{ends[0]}, {ends[1]}]", number.value, mark)


def point_cell(number: Number | None) -> Cell:
    """The value alone."""
    return Cell(NONE) if number is None or number.value is None else Cell(digits(number.value, number.metric), number.value)


def decided_cell(number: Number | None) -> Cell:
    """`value_cell` of a ratio or difference, marked by whom its paired interval decides it for."""
    return value_cell(number, MARKS[decided(number)])


def paper_cell(number: Number | None) -> Cell:
    """The paper's number for the same cell, with its digits."""
    if number is None or number.paper is None:
        return Cell(NONE, None, "paper")
    least = 1 if number.metric.endswith("_pct") else 2
    places = 2 if number.metric == RATIO else max(least, len(str(number.paper).partition(".")[2]))
    return Cell(f"{number.paper:.{places}f}", number.paper, "paper")


def better_cell(number: Number | None) -> Cell:
    """The name of the model that a ratio is decided for, else `tie`."""
    side = decided(number)
    if number is None or not side:
        return Cell(NONE)
    ours, base = ("student", "teacher") if number.against == TEACHER else (name_of(number.variant), name_of(BASELINE))
    return Cell({"ours": ours, "base": base, "tie": "tie"}[side], None, MARKS[side])


def seeds_cell(number: Number | None) -> Cell:
    """`mean ± standard deviation` of a line of `with_seed_means`."""
    if number is None or number.value is None or number.high is None:
        return Cell(NONE)
    return Cell(f"{digits(number.value, number.metric)} ± {digits(number.high - number.value, number.metric)}", number.value)


SHOW = {"value": value_cell, "point": point_cell, "decided": decided_cell, "better": better_cell, "seeds": seeds_cell, "paper": paper_cell}


class Column(NamedTuple):
    """A column of a table: its head, and the cell of each line."""

    head: str
    cell: Callable[[Line, Find], Cell]


def words(head: str, text: Callable[[Line], str]) -> Column:
    """A column of names at the left."""
    return Column(head, lambda line, find: Cell(text(line)))


MODEL = words("Model", lambda line: name_of(line["model"]))
STEPS = Column("Steps", lambda line, find: Cell(NONE) if line["steps"] is None else Cell(str(line["steps"]), line["steps"]))


def numbers(head: str, where: dict[str, Any] | Callable[[Line], dict[str, Any] | None], show: str = "value") -> Column:
    """A column of numbers.

    Args:
        where: values of the frame's columns by which, with the line's own, its number is found; or a function that gives them all, and
            None where the line has no number there.
        show: a key of `SHOW`.
    """

    def cell(line: Line, find: Find) -> Cell:
        wanted = line | where if isinstance(where, dict) else where(line)
        number = None if wanted is None else find(**wanted)
        return SHOW[show](number)

    return Column(head, cell)


def metric_columns(metrics: Iterable[str], **more: Any) -> list[Column]:
    """A column for each metric, under its name."""
    return [numbers(metric_name(metric), {"metric": metric} | more) for metric in metrics]


def make_view(name: str, caption: str, columns: Sequence[Column], lines: Sequence[Line], frame: pd.DataFrame) -> View:
    """A table with the numbers of the frame."""
    find = finder(frame)
    body = [[column.cell(line, find) for column in columns] for line in lines]
    return View(name, heading(name), caption, [column.head for column in columns], body)


def distinct(frame: pd.DataFrame, *columns: str) -> list[Line]:
    """A line for each combination of values that the frame has, in its order; None where a column says nothing."""
    lines = frame[list(columns)].drop_duplicates().astype(object).to_dict("records")
    return [{name: None if pd.isna(value) else value for name, value in line.items()} for line in lines]


def metrics_in(frame: pd.DataFrame, **wanted: Any) -> list[str]:
    """The metrics of the selected lines, in the frame's order."""
    return list(select(frame, **wanted)["metric"].unique())
