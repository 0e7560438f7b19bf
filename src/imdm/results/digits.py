"""How a number is written in a table, with its interval and its mark."""

from __future__ import annotations

from imdm.results.frame import RATIO, Number, decided
from imdm.results.names import BASELINE, TEACHER, name_of
from imdm.results.view import NONE, Cell

MARKS = {"ours": "win", "base": "lose", "tie": "tie", "": ""}


def digits(value: float, metric: str) -> str:
    """A value with as many digits as its metric deserves; what rounds to zero has no sign."""
    if metric == "parameters" or abs(value) >= 1000:
        return f"{value:,.0f}"
    if "perplexity" in metric or metric == "val_ppl" or metric.startswith("gen_ppl") and metric != RATIO:
        return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"
    places = 2 if metric.endswith("_pct") or metric in (RATIO, "token_entropy_nats") else 4 if metric.startswith("error") else 3
    return f"{value:z.{places}f}"


def value_cell(row: Number | None, mark: str = "") -> Cell:
    """`value [low, high]`, without the brackets where there is no interval or it has no width; `> low` or `< high` without a value."""
    if row is None or row.value is row.low is row.high is None:
        return Cell(NONE)
    ends = [NONE if end is None else digits(end, row.metric) for end in (row.low, row.high)]
    if row.value is None:
        return Cell(f"< {ends[1]}" if row.low is None else f"> {ends[0]}")
    text = digits(row.value, row.metric)
    return Cell(text if set(ends) in ({text}, {NONE}) else f"{text} [{ends[0]}, {ends[1]}]", row.value, mark)


def decided_cell(row: Number | None) -> Cell:
    """`value_cell` of a ratio or difference, marked by whom its paired interval decides it for."""
    return value_cell(row, MARKS[decided(row)])


def short_cell(row: Number | None) -> Cell:
    """A ratio alone, marked as `decided_cell` does."""
    return Cell(NONE) if row is None or row.value is None else Cell(digits(row.value, row.metric), row.value, MARKS[decided(row)])


def paper_cell(row: Number | None) -> Cell:
    """The paper's number for the same cell, with its digits."""
    if row is None or row.paper is None:
        return Cell(NONE, None, "paper")
    written = len(str(row.paper).partition(".")[2])
    places = 2 if row.metric == RATIO else max(1 if row.metric.endswith("_pct") else 2, written)
    return Cell(f"{row.paper:.{places}f}", row.paper, "paper")


def better_cell(row: Number | None) -> Cell:
    """The name of the model that a ratio is decided for, else `tie`."""
    side = decided(row)
    if not side:
        return Cell(NONE)
    ours, base = ("student", "teacher") if row.against == TEACHER else (name_of(row.variant), name_of(BASELINE))
    return Cell({"ours": ours, "base": base, "tie": "tie"}[side], None, MARKS[side])


def seeds_cell(row: Number | None) -> Cell:
    """`mean ± standard deviation` of a line of `with_seed_means`."""
    return Cell(NONE) if row is None else Cell(f"{digits(row.value, row.metric)} ± {digits(row.high - row.value, row.metric)}", row.value)
