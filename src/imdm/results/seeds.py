"""Several training seeds: their means and standard deviations, which no file stores."""

from __future__ import annotations

import pandas as pd

from imdm.results.frame import RATIO, first_seed, frame_of, select

_KEY = ["kind", "variant", "recipe", "target", "steps", "metric"]


def with_seed_means(frame: pd.DataFrame) -> pd.DataFrame:
    """The lines of the first seed, then means over training seeds: replicate None, low and high one standard deviation away.

    Means are of what has several seeds: Gen-PPL, entropy and ratio of samples, and at equal entropy where every seed reaches it.
    """
    records = []
    for key, values in _by_seed(frame):
        record = dict(zip(_KEY, key, strict=True))
        mean, sd = float(values.mean()), float(values.std(ddof=1))
        record |= {"model": f"{record['variant']}/{record['recipe']}", "replicate": None}
        records.append(record | {"value": mean, "low": mean - sd, "high": mean + sd})
    found = first_seed(frame)
    return pd.concat([found, frame_of(records)], ignore_index=True) if records else found


def training_seeds(frame: pd.DataFrame) -> str:
    """The numbers of training seeds in words, `3` or `2 to 3`; empty where there is one."""
    counts = sorted({len(values) for _, values in _by_seed(frame)})
    return " to ".join(map(str, dict.fromkeys((counts[0], counts[-1])))) if counts else ""


def _by_seed(frame: pd.DataFrame) -> list[tuple[tuple, pd.Series]]:
    part = select(frame, kind=["samples", "equal_entropy"], metric=["gen_ppl", "entropy", RATIO])
    groups = part[part["variant"] != ""].groupby(_KEY, sort=False, dropna=False)["value"]
    return [(key, values) for key, values in groups if len(values) > 1 and values.notna().all()]
