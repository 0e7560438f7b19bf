"""The paper's own numbers, to stand beside ours.

`paper_tables.csv` holds every number of the tables of Yoo, Kim, Lee and Hong, "Infinite Mask Diffusion for Few-Step
Distillation", arXiv 2605.10518v1 (CC BY 4.0). They are of LM1B and OpenWebText at 170M and 860M parameters, judged by
GPT-2 Large: the levels of a smaller run can't be compared with them, ratios between models can.
"""

from __future__ import annotations

import csv
import functools
import re
from pathlib import Path

NOTE = (
    "The paper's numbers (arXiv 2605.10518) are for LM1B at 170M parameters, judged by GPT-2 Large: "
    "levels are not comparable with this run, ratios between models are."
)
STEPS = (2, 4, 8, 16)  # step counts of its Tables 4 and 5

_VARIANTS = {"mdlm": "MDLM", "imdm": "IMDM"}
_SYNTHETIC = {"mdm": "MDM", "imdm": "IMDM", "random": "Random sequence"}
_NOISE = {"noise A": "noise=eps_A", "noise B": "noise=eps_B"}


@functools.cache
def paper_rows() -> tuple[dict[str, str], ...]:
    """Every number of the paper's tables: table, dataset, model_size, method, variant, setting, steps, metric, value."""
    with Path(__file__).with_name("paper_tables.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(line for line in file if not line.startswith("#")))


def paper_recipe(recipe: str) -> str | None:
    """The paper's name of a recipe (sdttK, redi, sdttK-redi), None where it has none; it ran 7 rounds of SDTT."""
    if re.fullmatch(r"sdtt\d+", recipe):
        return "SDTT"
    if re.fullmatch(r"sdtt\d+-redi", recipe):
        return "SDTT+ReDi"
    return "ReDi" if recipe == "redi" else None


def paper_value(table: int, variant: str, recipe: str, steps: int | None, metric: str) -> float | None:
    """A number of Tables 1, 2, 4 or 5 under our names, None where the paper gives none.

    Args:
        table: 1, 2, 4 or 5.
        variant: mdlm or imdm (Tables 4, 5); mdm, imdm or random (Tables 1, 2).
        recipe: sdttK, redi or sdttK-redi (Tables 4, 5); "noise A" or "noise B" (Table 2); not used for Table 1.
        steps: sampling steps; not used for Tables 1 and 2, which are of one step.
        metric: gen_ppl, entropy (nats), validity_pct, token_entropy_nats, P(tokenI=0)_pct, or error_valid_mass_nats.
            The paper's "Error" is only possible under that reading of it, so error_kl_nats has no value here.
    """
    wanted = {"table": str(table), "metric": metric}
    if table in (4, 5):
        wanted |= {"variant": _VARIANTS.get(variant, ""), "method": paper_recipe(recipe) or "", "steps": str(steps)}
    else:
        wanted |= {"method": _SYNTHETIC.get(variant, "")}
        if metric == "error_valid_mass_nats":
            wanted["metric"] = "factorization_error_nats"
        if table == 2:
            wanted["setting"] = "no noise" if variant == "mdm" else _NOISE.get(recipe, "")
    found = [row["value"] for row in paper_rows() if all(row[key] == value for key, value in wanted.items())]
    return float(found[0]) if len(found) == 1 else None
