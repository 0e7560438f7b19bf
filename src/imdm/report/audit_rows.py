"""The audit's figures as tidy rows, and which of them stand in other tables."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from imdm.audit import REAL
from imdm.report.names import TEACHER, setting_of
from imdm.report.rows import Row, select

_OF_PAIRS = ("nll", "equal", "noise_gap", "pair_gap")


def audit_rows(audits: dict[str, dict[str, Any]]) -> list[Row]:
    """Rows of `audit` (samples) and `agreement` (pairs).

    What depends on couplings has these as its setting (couplings of imdm/sdtt3, pairs of teacher), also where it is of the
    teacher or of real text; a number that several audits hold comes once.

    Args:
        audits: audit.json by model, the teacher's among them.
    """
    found: dict[tuple[object, ...], Row] = {}
    for audited, tree in audits.items():
        for row in tree["rows"]:
            model, metric = row["model"], row["metric"]
            table = "agreement" if metric.startswith(_OF_PAIRS) else "audit"
            if table == "agreement":
                setting = f"pairs of {tree['teacher']}"
            elif "coupling" in metric:
                setting = f"couplings of {tree['teacher']}"
            elif audited in (model, TEACHER):
                setting = f"{tree['split']} split" if model == REAL else setting_of(model)
            else:
                continue
            key = (table, model, setting, row["steps"], metric)
            found.setdefault(key, Row(*key, row["value"], row["low"], row["high"]))
    return list(found.values())


def ngram_sizes(rows: Iterable[Row]) -> list[int]:
    """The lengths of n-grams that were looked for, ascending."""
    return sorted({int(match[1]) for row in rows if (match := re.fullmatch(r"in_train_(\d+)_pct", row.metric))})


def trained_on(row: Row) -> bool:
    """Whether a figure is of a model and couplings that it was trained on, and not of the teacher that stands beside it."""
    kind, _, made_by = row.setting.partition(" of ")
    return kind in ("couplings", "pairs") and row.model not in (made_by, TEACHER, REAL)


def audited(rows: list[Row], metric: str, model: str, steps: int | None = None) -> Row | None:
    """A model's figure; where it is about couplings, only of a model that was trained on them."""
    found = select(rows, metric=metric, model=model, steps=steps)
    return next((row for row in found if trained_on(row) or row.setting == setting_of(model)), None)


def copied(rows: list[Row]) -> str:
    """The metric that stands in Tables 4 and 5: the longest n-grams that occur in a model's couplings."""
    return f"in_couplings_{max(ngram_sizes(rows), default=0)}_pct"


def copied_rows(rows: list[Row]) -> list[Row]:
    """`copied` of every model that was trained on couplings."""
    metric = copied(rows)
    return [row for row in rows if row.metric == metric and trained_on(row)]
