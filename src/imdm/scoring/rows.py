"""All figures of one model at one step count."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from imdm.scoring.bootstrap import mean_interval, ratio_interval
from imdm.scoring.diversity import distinct, entropy, repetition
from imdm.scoring.gen_ppl import Judged, gen_ppl, gen_ppl_mean
from imdm.scoring.mauve import mauve

if TYPE_CHECKING:
    import numpy as np

    from imdm.params import Scoring


def score_rows(
    tokens: np.ndarray, calls: np.ndarray, judged: Judged, reference: np.ndarray, settings: Scoring, seed: int
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Figures with their intervals, and the columns that are kept per sample.

    Args:
        tokens: [n, L].
        calls: network calls of each sample [n].
        reference: MAUVE features of real text [m, d].

    Returns:
        rows of metric, value, low, high; columns nll (nats), tokens, entropy (nats), calls.
    """
    unigram, repeated = entropy(tokens), repetition(tokens, 4)
    kept = judged.tokens > 0
    mean, sd = mauve(reference, judged.features, settings.mauve_seeds, settings.mauve_scale)

    def of_mean(values: np.ndarray) -> tuple[float, float, float]:
        return (float(values.mean()), *mean_interval(values, settings.bootstrap, seed))

    average = mean_interval(judged.nll[kept] / judged.tokens[kept], settings.bootstrap, seed)
    figures = {
        "gen_ppl": (gen_ppl(judged.nll, judged.tokens), *ratio_interval(judged.nll, judged.tokens, settings.bootstrap, seed)),
        "gen_ppl_mean": (gen_ppl_mean(judged.nll, judged.tokens), *(math.exp(bound) for bound in average)),
        "entropy": of_mean(unigram),
        "mauve": (mean, mean - sd, mean + sd),
        "distinct_4": (distinct(tokens, 4),) * 3,
        "repetition_4": of_mean(repeated),
        "calls": of_mean(calls.astype(float)),
    }
    rows = [{"metric": metric, "value": value, "low": low, "high": high} for metric, (value, low, high) in figures.items()]
    return rows, {"nll": judged.nll, "tokens": judged.tokens, "entropy": unigram, "calls": calls}
