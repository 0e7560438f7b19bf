"""The paper's own numbers, to stand beside ours.

`paper_tables.csv` holds every number of the tables of Yoo, Kim, Lee and Hong, "Infinite Mask Diffusion for Few-Step
Distillation", arXiv 2605.10518v1 (CC BY 4.0). They are of LM1B and OpenWebText at 170M and 860M parameters, judged by
GPT-2 Large: the levels of a smaller run can't be compared with them, ratios between models can.
"""

from __future__ import annotations

import csv
import functools
from pathlib import Path


@functools.cache
def paper_rows() -> tuple[dict[str, str], ...]:
    """Every number of the paper's tables: table, dataset, model_size, method, variant, setting, steps, metric, value."""
    with Path(__file__).with_name("paper_tables.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(line for line in file if not line.startswith("#")))


def paper_value(table: int, metric: str, steps: int | None = None, **where: str) -> float | None:
    """A number of the paper, None where no row of `paper_rows` or more than one fits.

    Args:
        metric: gen_ppl, entropy (nats), mauve, val_ppl, validity_pct, token_entropy_nats, factorization_error_nats, P(tokenI=0)_pct.
        steps: sampling steps; None for a table that has none, or but one count.
        where: values of the columns method, variant and setting, as many as it takes.
    """
    wanted = {"table": str(table), "metric": metric} | ({} if steps is None else {"steps": str(steps)}) | where
    found = [row["value"] for row in paper_rows() if all(row[key] == value for key, value in wanted.items())]
    return float(found[0]) if len(found) == 1 else None


def paper_steps(table: int) -> list[int]:
    """The step counts of a table, ascending; none where it does not tell them."""
    return sorted({int(row["steps"]) for row in paper_rows() if row["table"] == str(table) and row["steps"]})
