"""Several training seeds: their mean and standard deviation, and what is the same in all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from imdm.params import REPLICATE
from imdm.report.equal_entropy import AT
from imdm.report.equal_entropy import TABLE as FRONTIER
from imdm.report.names import RATIO
from imdm.report.rows import Row, select

OVER_SEEDS = "_seeds"  # ends the metrics of means over training seeds
_METRICS = ("gen_ppl", "entropy", RATIO)
_REPLICATE = re.compile(rf"{REPLICATE}(?=[/:])")


def first_seed(rows: Iterable[Row]) -> list[Row]:
    """The rows without those of replicates, and of what other models share with replicates' couplings."""
    return [row for row in rows if not _REPLICATE.search(f"{row.model} {row.setting}")]


def by_seed(rows: Iterable[Row]) -> dict[tuple[str, str, str, int | None, str], list[float]]:
    """Values of all training seeds, the first one first, by table, model of the first seed, setting, steps and metric.

    Only of what has several seeds: Gen-PPL, entropy and ratio of Tables 4 and 5, and at equal entropy where every seed reaches it.
    """
    found: dict[tuple[str, str, str, int | None, str], list[float | None]] = {}
    for row in rows:
        compared = row.table in ("4", "5") or row.table == FRONTIER and row.setting in AT.values()
        if compared and row.metric in _METRICS:
            key = (row.table, _REPLICATE.sub("", row.model), row.setting, row.steps, row.metric)
            found.setdefault(key, []).append(row.value)
    return {key: values for key, values in found.items() if len(values) > 1 and None not in values}


def seed_rows(rows: Iterable[Row]) -> list[Row]:
    """Means over training seeds, one sample standard deviation to either side; none where there is one seed."""
    found = []
    for (table, model, setting, steps, metric), values in by_seed(rows).items():
        mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
        setting = f"{setting}, mean and sd of {len(values)} training seeds"
        found.append(Row(table, model, setting, steps, f"{metric}{OVER_SEEDS}", mean, mean - sd, mean + sd))
    return found


def seeds_in(rows: Iterable[Row]) -> str:
    """The numbers of training seeds in words, `3` or `2 to 3`; empty where there is one."""
    found = sorted({int(row.setting.split()[-3]) for row in rows if row.metric.endswith(OVER_SEEDS)})
    return " to ".join(map(str, dict.fromkeys((found[0], found[-1])))) if found else ""


def seed_sentence(rows: list[Row]) -> str:
    """How many comparisons come out the same in all training seeds; empty where there is one.

    Args:
        rows: with those of replicates.
    """
    parts = []
    ratios = [row for row in select(rows, metric=RATIO) if _REPLICATE.sub("", row.model).startswith("imdm:")]
    teachers = f" {AT['teacher']}"
    for where, found in (("", select(ratios, table="4")), (teachers, select(ratios, table=FRONTIER, setting=AT["teacher"]))):
        values = list(by_seed(found).values())
        below, above = (sum(all(sign * (value - 1) > 0 for value in one) for one in values) for sign in (-1, 1))
        if values:
            parts.append(f"{below + above} of {len(values)} comparisons{where} (below 1 in {below}, above 1 in {above})")
    if not parts:
        return ""
    return f"Training seeds, {seeds_in(rows)} of each: IMDM / MDLM is on the same side of 1 in all seeds in {', in '.join(parts)}."
