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


def value_cell(number: Number | None, mark: str = "") -> Cell:
    """`value [low, high]`, without the brackets where there is no interval or it has no width; `> low` or `< high` without a value."""
    if number is None or number.value is number.low is number.high is None:
        return Cell(NONE)
    ends = [NONE if end is None else digits(end, number.metric) for end in (number.low, number.high)]
    if number.value is None:
        return Cell(f"< {ends[1]}" if number.low is None else f"> {ends[0]}")
    text = digits(number.value, number.metric)
    return Cell(text if set(ends) in ({text}, {NONE}) else f"{text} [{ends[0]}, {ends[1]}]", number.value, mark)


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
    if not side:
        return Cell(NONE)
    ours, base = ("student", "teacher") if number.against == TEACHER else (name_of(number.variant), name_of(BASELINE))
    return Cell({"ours": ours, "base": base, "tie": "tie"}[side], None, MARKS[side])


def seeds_cell(number: Number | None) -> Cell:
    """`mean ± standard deviation` of a line of `with_seed_means`."""
    if number is None:
        return Cell(NONE)
    return Cell(f"{digits(number.value, number.metric)} ± {digits(number.high - number.value, number.metric)}", number.value)
