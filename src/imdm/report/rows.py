"""The tidy form of every result: one row a number, in `tables.csv` and `tableNN.csv`."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from imdm.errors import UserError


@dataclass(frozen=True)
class Row:
    """One number.

    Attributes:
        table: 1 to 14 as in the paper; `frontier` for samples over temperatures; `quality` for the further metrics of samples;
            `audit` and `agreement` for what samples copy and models remember; `models` for judge and teacher.
        model: VARIANT/RECIPE, teacher, judge, `test text`, or VARIANT:mdlm/RECIPE for a ratio.
        setting: the recipe in words, the seed, the noise of Table 2, the column of Tables 3 and 6 to 14, or where on the frontier.
        steps: sampling steps, None where there are none.
        value: None where the paper alone has the number, or an entropy is out of reach.
        low, high: 95% interval of one model's value, least and largest of a mean over seeds of the small tasks, one standard deviation
            to either side of a mean over training seeds (METRIC_seeds); None where there is none. Without a
            value one of them is what the model has at the nearest entropy that it reaches.
        paper: the paper's number, None where it gives none.
    """

    table: str
    model: str
    setting: str
    steps: int | None
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    paper: float | None = None


COLUMNS = tuple(field.name for field in fields(Row))


def write_rows(path: str | Path, rows: Iterable[Row]) -> None:
    """Write rows as CSV; None is an empty field, floats have 8 significant digits."""
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow("" if item is None else f"{item:.8g}" if isinstance(item, float) else item for item in astuple(row))


def read_rows(path: str | Path) -> list[Row]:
    """Read what `write_rows` wrote.

    Raises:
        UserError: the file is missing or has other columns.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise UserError(f"{path} must have the columns {', '.join(COLUMNS)}; run stages/tabulate.py again.")
            return [_row(record) for record in reader]
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run stages/tabulate.py.") from None
    except (ValueError, TypeError):
        raise UserError(f"{path} holds a field that is not a number; run stages/tabulate.py again.") from None


def _row(record: dict[str, str]) -> Row:
    numbers = {name: float(record[name]) if record[name] else None for name in ("value", "low", "high", "paper")}
    steps = int(record["steps"]) if record["steps"] else None
    return Row(record["table"], record["model"], record["setting"], steps, record["metric"], **numbers)


def find(rows: Iterable[Row], **wanted: str | int | None) -> Row | None:
    """The first row whose attributes equal `wanted`, None where there is none."""
    return next((row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())), None)


def select(rows: Iterable[Row], **wanted: str | int | None) -> list[Row]:
    """Every row whose attributes equal `wanted`."""
    return [row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())]
