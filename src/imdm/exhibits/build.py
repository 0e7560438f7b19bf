"""From a description and a run's scores to a table: tidy rows, and the view that a reader sees."""

from __future__ import annotations

import itertools
from dataclasses import replace

from imdm.exhibits.results import Scores
from imdm.exhibits.tables import Column, Table
from imdm.report.cells import DAGGER, Cell, View, paper_cell, value_cell
from imdm.report.names import METRICS
from imdm.report.paper import paper_steps, paper_value
from imdm.report.rows import Row
from imdm.report.tables import winner

_AXES = {"steps": "Steps", "metric": "Metric", "model": "Model"}
Key = tuple[str, str, int | None]  # head of the column, metric, steps


def build_rows(table: Table, scores: Scores) -> list[Row]:
    """A row for every number that the run or the paper has."""
    rows = []
    for column, metric in itertools.product(table.columns, table.metrics):
        found = scores.measured(column, metric)
        if "steps" in table.lines:
            counts = sorted(set(found) | set(paper_steps(table.metrics[metric])))
            numbers = {n: _paper(table, column, metric, n) for n in counts}
        else:
            counts = [max(found, key=lambda n: n or 0)]
            numbers = {counts[0]: _paper(table, column, metric, None)}
        for n in counts:
            triple, paper = found.get(n, (None, None, None)), numbers[n]
            if triple[0] is not None or paper is not None:
                rows.append(Row(str(table.number), column.model, column.head, n, metric, *triple, paper))
    return rows


def _paper(table: Table, column: Column, metric: str, steps: int | None) -> float | None:
    return paper_value(table.metrics[metric], metric, steps, **column.paper) if column.paper else None


def build_view(table: Table, rows: list[Row], caption: str) -> View:
    """The table as the paper lays it out, with the paper's line below each of this run."""
    stepped = "steps" in table.lines
    found: dict[Key, Row] = {(row.setting, row.metric, row.steps if stepped else None): row for row in rows}
    values = {"model": [column.head for column in table.columns], "metric": list(table.metrics)}
    values["steps"] = sorted({row.steps for row in rows}) if stepped else [None]
    across = [axis for axis in ("model", "metric") if axis not in table.lines]
    columns = [dict(zip(across, place)) for place in itertools.product(*(values[axis] for axis in across))]
    columns = [column for column in columns if any(_fits(row, column) for row in rows)]
    body = []
    for place in itertools.product(*(values[axis] for axis in table.lines)):
        line = dict(zip(table.lines, place))
        keys = [(at["model"], at["metric"], at.get("steps")) for at in (line | column for column in columns)]
        names = [Cell(METRICS[value]) if axis == "metric" else Cell(str(value), _sort(value)) for axis, value in line.items()]
        body.append([*names, Cell("this run"), *(_cell(table, found, key) for key in keys)])
        if not any(_fits(row, line) for row in rows if row.paper is not None):
            continue  # a metric that the paper's table lacks
        theirs = [*(replace(cell, mark="paper") for cell in names), Cell("paper", None, "paper")]
        body.append([*theirs, *(paper_cell(found.get(key)) for key in keys)])
    heads = [": ".join(filter(None, (_head(table, axis, value) for axis, value in column.items()))) for column in columns]
    sides = [*(_AXES[axis] for axis in table.lines), "Source"]
    return View(table.name, f"Table {table.number}. {table.title}", caption, [*sides, *heads], body)


def _fits(row: Row, place: dict[str, str]) -> bool:
    return place.get("model", row.setting) == row.setting and place.get("metric", row.metric) == row.metric


def _head(table: Table, axis: str, value: str) -> str:
    """The name of a column; a metric that is the only one stands in the title."""
    return value if axis == "model" else METRICS[value] if len(table.metrics) > 1 else ""


def _sort(value: str | int | None) -> int | None:
    return value if isinstance(value, int) else None


def _cell(table: Table, found: dict[Key, Row], key: Key) -> Cell:
    """This run's value, with a dagger where it is decidedly on the other side of the column it is compared with than in the paper."""
    row = found.get(key)
    against = next(column.against for column in table.columns if column.head == key[0])
    cell = value_cell(row)
    return Cell(f"{cell.text} {DAGGER}", cell.sort, "disagree") if against and contrary(row, found.get((against, *key[1:]))) else cell


def contrary(row: Row | None, base: Row | None) -> bool:
    """Whether the paper orders two models one way and this run the other, their 95% intervals apart; entropy knows no better."""
    if row is None or base is None or row.metric == "entropy" or None in (row.paper, base.paper):
        return False
    return {"ours": -1, "base": 1}.get(winner(row, base), 0) * (row.paper - base.paper) < 0
