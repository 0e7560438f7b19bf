"""A table's cells and the table that holds them: how a number is written, and how it is marked."""

from __future__ import annotations

from dataclasses import dataclass

from imdm.report.names import RATIO
from imdm.report.rows import Row, select
from imdm.report.seeds import OVER_SEEDS

NONE = "–"
DAGGER = "†"
MARKS = {"ours": "win", "base": "lose", "tie": "tie", "": ""}  # of `winner` and `decided`


@dataclass(frozen=True)
class Cell:
    """Text as shown, the number it sorts by, and how it is marked: `win`, `lose`, `tie`, `paper`, `disagree` or nothing."""

    text: str
    sort: float | None = None
    mark: str = ""


@dataclass(frozen=True)
class View:
    """A table: `name` is the stem of its files, the first cell of each row names the row."""

    name: str
    title: str
    caption: str
    columns: list[str]
    rows: list[list[Cell]]

    @property
    def grouped(self) -> bool:
        """Whether several rows have the same name."""
        return len({row[0].text for row in self.rows}) < len(self.rows)

    @property
    def words(self) -> list[int]:
        """The columns that hold words, which stand at the left, and no numbers."""
        columns = ([row[place] for row in self.rows if row[place].text != NONE] for place in range(len(self.columns)))
        return [place for place, cells in enumerate(columns) if cells and all(cell.sort is None for cell in cells)]


def number(value: float, metric: str) -> str:
    """A value with as many digits as its metric deserves; what rounds to zero has no sign."""
    metric = metric.removesuffix(OVER_SEEDS)
    if metric == "parameters" or abs(value) >= 1000:
        return f"{value:,.0f}"
    if "perplexity" in metric or metric == "val_ppl" or metric.startswith("gen_ppl") and metric != RATIO:
        return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"
    digits = 2 if metric.endswith("_pct") or metric in (RATIO, "token_entropy_nats") else 4 if metric.startswith("error") else 3
    return f"{value:z.{digits}f}"


def value_cell(row: Row | None, mark: str = "") -> Cell:
    """`value [low, high]`, without the brackets where there is no interval or it has no width; `> low` or `< high` without a value."""
    if row is None or row.value is row.low is row.high is None:
        return Cell(NONE)
    ends = [NONE if end is None else number(end, row.metric) for end in (row.low, row.high)]
    if row.value is None:
        return Cell(f"< {ends[1]}" if row.low is None else f"> {ends[0]}")
    text = number(row.value, row.metric)
    return Cell(text if set(ends) in ({text}, {NONE}) else f"{text} [{ends[0]}, {ends[1]}]", row.value, mark)


def seeds_cell(rows: list[Row], table: str, metric: str, model: str, steps: int | None, setting: str = "") -> Cell:
    """`mean ± sd` over training seeds."""
    metric = f"{metric}{OVER_SEEDS}"
    found = [row for row in select(rows, table=table, model=model, metric=metric, steps=steps) if row.setting.startswith(setting)]
    if not found:
        return Cell(NONE)
    return Cell(f"{number(found[0].value, metric)} ± {number(found[0].high - found[0].value, metric)}", found[0].value)


def paper_cell(row: Row | None) -> Cell:
    """The paper's number for the same cell, with its digits."""
    if row is None or row.paper is None:
        return Cell(NONE, None, "paper")
    written = len(str(row.paper).partition(".")[2])
    digits = 2 if row.metric == RATIO else max(1 if row.metric.endswith("_pct") else 2, written)
    return Cell(f"{row.paper:.{digits}f}", row.paper, "paper")
