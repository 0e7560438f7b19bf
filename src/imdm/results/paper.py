"""The paper's own numbers, to stand beside ours.

`paper_tables.csv` holds every number of the tables of Yoo, Kim, Lee and Hong, "Infinite Mask Diffusion for Few-Step
Distillation", arXiv 2605.10518v1 (CC BY 4.0). They are of LM1B and OpenWebText at 170M and 860M parameters, judged by
GPT-2 Large: the levels of a smaller run can't be compared with them, ratios between models can.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pandas as pd

from imdm.params import parse_recipe

_ABOUT = ["table", "dataset", "model_size", "method", "variant", "setting", "metric"]
_VARIANTS = {"mdlm": "MDLM", "imdm": "IMDM"}
_METHODS = {(True, False): "SDTT", (False, True): "ReDi", (True, True): "SDTT+ReDi"}  # by SDTT, ReDi


@functools.cache
def paper_numbers() -> pd.DataFrame:
    """Every number of the paper's tables: table, dataset, model_size, method, variant, setting, metric, steps (or NA), value."""
    wide = pd.read_csv(Path(__file__).with_name("paper_tables.csv"), comment="#", keep_default_na=False, na_values=[""])
    long = wide.melt(id_vars=_ABOUT, var_name="steps").dropna(subset="value")
    return long.assign(steps=pd.to_numeric(long["steps"], errors="coerce").astype("Int64")).reset_index(drop=True)


def paper_value(table: int, metric: str, steps: int | None = None, **where: str) -> float | None:
    """A number of the paper, None where it has none like it, or more than one.

    Args:
        metric: gen_ppl, entropy (nats), mauve, val_ppl, validity_pct, token_entropy_nats, factorization_error_nats, P(tokenI=0)_pct.
        steps: sampling steps; None for a table that has none, or but one count.
        where: values of the columns method, variant and setting, as many as it takes.
    """
    numbers = paper_numbers()
    fits = (numbers["table"] == table) & (numbers["metric"] == metric)
    for column, value in where.items():
        fits &= numbers[column] == value
    if steps is not None:
        fits &= numbers["steps"].eq(steps).fillna(False).astype(bool)
    values = numbers.loc[fits, "value"]
    return float(values.iloc[0]) if len(values) == 1 else None


def paper_steps(table: int) -> list[int]:
    """The step counts of a table, ascending; none where it does not tell them."""
    numbers = paper_numbers()
    return sorted(map(int, numbers.loc[numbers["table"] == table, "steps"].dropna().unique()))


def paper_of(model: str) -> dict[str, str] | None:
    """method and variant of a model in Tables 4 and 5, None where the paper has none like it; it ran 7 rounds of SDTT."""
    variant, _, name = model.partition("/")
    recipe = parse_recipe(name)
    if variant not in _VARIANTS or recipe is None or recipe.di4c or recipe.keyed or not (recipe.rounds or recipe.redi):
        return None
    return {"variant": _VARIANTS[variant], "method": _METHODS[recipe.rounds > 0, recipe.redi]}


def paper_note(table: int) -> str:
    """What the numbers of a table of the paper are of, and what they can be compared with."""
    first = paper_numbers()[paper_numbers()["table"] == table].iloc[0]
    size = re.search(r"\d+M|$", first["model_size"])[0] or "170M"  # what it calls small
    return (
        f"The paper's numbers (arXiv 2605.10518) are for {first['dataset']} at {size} parameters, judged by GPT-2 Large: levels are "
        "comparable only with a run of the same corpus, size and judge, ratios between models always."
    )
