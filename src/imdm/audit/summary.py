"""From one value a sample or pair to the audit's figures, each with its interval."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from imdm.scoring.bootstrap import interval, mean_interval, ratio_interval, ratio_resamples

Figure = tuple[str, float, float | None, float | None]  # metric, value, low, high
_KEYS = ("model", "steps", "sample")


def text_figures(frame: pd.DataFrame, resamples: int, seed: int) -> list[dict[str, Any]]:
    """Means of `texts.text_frame`; of the nearest coupling and block also the 95% quantile and the largest, without an interval.

    Returns:
        model, steps (None for real text), metric, value, low, high.
    """
    records = []
    for (model, steps), part in frame.groupby(["model", "steps"], sort=False, dropna=False):
        for metric in [name for name in frame.columns if name not in _KEYS]:
            values = part[metric].to_numpy(float)
            figures: list[Figure] = [(metric, values.mean(), *mean_interval(values, resamples, seed))]
            if metric.startswith("nearest"):
                stem = metric.removesuffix("_pct")
                figures += [(f"{stem}_q95_pct", part[metric].quantile(0.95), None, None), (f"{stem}_max_pct", values.max(), None, None)]
            records += [_record(model, None if pd.isna(steps) else int(steps), *figure) for figure in figures]
    return records


def pair_figures(frame: pd.DataFrame, resamples: int, seed: int) -> list[dict[str, Any]]:
    """What `pairs.pair_frame` says of each model and kind of pairs, in nats and percent of masked tokens.

    nll_KIND_NOISE, equal_KIND_NOISE_pct: with the pairs' own noise and with fresh noise. noise_gap_KIND: nats that fresh
    noise costs. pair_gap: nats that a pair costs more where it was not trained on, each with its own noise.
    """
    return [
        _record(model, None, *figure) for model, part in frame.groupby("model", sort=False) for figure in _of_model(part, resamples, seed)
    ]


def _of_model(frame: pd.DataFrame, resamples: int, seed: int) -> Iterator[Figure]:
    kinds = {kind: part.drop(columns=["model", "pairs"]).astype(float) for kind, part in frame.groupby("pairs", sort=False)}
    for kind, pairs in kinds.items():
        tokens = pairs["tokens"]
        figures = {f"nll_{kind}_{noise}": pairs[f"nll_{noise}"] for noise in ("own", "fresh")}
        figures |= {f"equal_{kind}_{noise}_pct": 100 * pairs[f"equal_{noise}"] for noise in ("own", "fresh")}
        figures[f"noise_gap_{kind}"] = pairs["nll_fresh"] - pairs["nll_own"]
        for metric, values in figures.items():
            yield metric, values.sum() / tokens.sum(), *ratio_interval(values.to_numpy(), tokens.to_numpy(), resamples, seed)
    if len(kinds) == 2:
        own = {kind: (pairs["nll_own"].to_numpy(), pairs["tokens"].to_numpy()) for kind, pairs in kinds.items()}
        gap = own["unseen"][0].sum() / own["unseen"][1].sum() - own["seen"][0].sum() / own["seen"][1].sum()
        yield (
            "pair_gap",
            gap,
            *interval(ratio_resamples(*own["unseen"], resamples, seed) - ratio_resamples(*own["seen"], resamples, seed + 1)),
        )


def _record(model: str, steps: int | None, metric: str, value: float, low: float | None, high: float | None) -> dict[str, Any]:
    return {"model": model, "steps": steps, "metric": metric, "value": float(value), "low": low, "high": high}
