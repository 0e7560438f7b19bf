"""Tables beyond the paper: what samples copy, what models know of pairs, the factorization error, and the two small languages."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from imdm.results.frame import DIFFERENCE, RATIO, select
from imdm.results.names import METRICS, REAL, TEACHER, name_of, step_words
from imdm.results.table import MODEL, STEPS, Column, Line, distinct, make_view, metric_columns, metrics_in, numbers, words
from imdm.results.view import View

_PAIRS = ("nll_seen_own", "nll_seen_fresh", "noise_gap_seen", "nll_unseen_own", "nll_unseen_fresh", "noise_gap_unseen", "pair_gap")
_PAIRS += ("equal_seen_own_pct", "equal_seen_fresh_pct", "equal_unseen_own_pct")
_PARTS = ("correlation_nats_per_token", "marginals_nats_per_token", "dependence_nats_per_token")
_EXACT = {"nll_nats": "entropy_nats", "bigram_entropy_nats": "entropy_rate_nats"}  # the Markov chain's own value of a metric


def _couplings(head: str) -> Column:
    return words(head, lambda line: name_of(line["couplings"]) if line["couplings"] else "none")


def copies(frame: pd.DataFrame) -> View:
    """What samples share with couplings, training text and each other; by couplings, each with the teacher and real text."""
    samples = select(frame, kind="copies")
    samples = samples[~samples["metric"].str.contains("_q95_")]
    of_couplings = samples["couplings"] != ""
    trained = set(samples[of_couplings]["model"]) - {REAL, TEACHER}
    alone = distinct(samples[~of_couplings & ~samples["model"].isin(trained)].assign(couplings=""), "couplings", "model", "steps")
    columns = [_couplings("Couplings of"), MODEL, STEPS, *metric_columns(metrics_in(samples[of_couplings]))]
    columns += metric_columns(metrics_in(samples[~of_couplings]), couplings="")
    caption = (
        "Percent, mean over samples, with bootstrap 95% intervals. N-grams of couplings are sought in all that a model was trained on. "
        "Nearest coupling: the largest share of equal tokens at equal positions. Nearest block: the largest share of the longest n-grams "
        "that one training block has. A model that copies has much larger shares than the teacher and real text."
    )
    return make_view("copies", caption, columns, alone + distinct(samples[of_couplings], "couplings", "model", "steps"), frame)


def pairs(frame: pd.DataFrame) -> View:
    """What models know of pairs in one step, with the pairs' own noise and with fresh noise."""
    caption = (
        "One prediction from a noised block: nats a masked token of the text that the teacher of the pairs wrote there, with bootstrap "
        "95% intervals over pairs. Seen: couplings that a model was rectified on; unseen: others of the same teacher. Own: the noise of "
        "the pair; fresh: another. Pair gap: unseen minus seen, which is memorization. A noise gap on unseen pairs is a learnt map."
    )
    columns = [_couplings("Pairs of"), MODEL, *metric_columns(_PAIRS)]
    return make_view("pairs", caption, columns, distinct(select(frame, kind="pairs"), "couplings", "model"), frame)


def factorization(frame: pd.DataFrame) -> View:
    """Errors by model and step count, their parts, and the difference to MDLM beside whose Gen-PPL is lower.

    Args:
        frame: with the ratios of Gen-PPL of tables.csv.
    """
    matches = (re.fullmatch(r"error_m(\d+)_nats_per_token", metric) for metric in metrics_in(frame, kind="factorization"))
    draws = sorted(int(match[1]) for match in matches if match)
    columns = [MODEL, STEPS, *(numbers(f"Error, M={m}", {"metric": f"error_m{m}_nats_per_token"}) for m in draws)]
    columns += [numbers("A sequence", {"metric": f"error_m{max(draws)}_nats_per_sequence"}), *metric_columns(_PARTS)]
    columns.append(numbers("Minus MDLM's", {"metric": DIFFERENCE}, "decided"))
    columns.append(numbers("Gen-PPL lower", {"metric": RATIO, "kind": "samples"}, "better"))
    caption = (
        "Eq. 6 on held-out blocks: the KL divergence of one step from the teacher's joint by its chain rule, summed over the transitions "
        "of each step count, in nats a token, with 95% bootstrap intervals over sequences. A model with noise is a mean over M draws; "
        "the estimate is too high and falls with M. At the largest M the error is the teacher's total correlation, plus the error of the "
        "single positions (marginals), minus the dependence that the noise brings. Minus MDLM's: of the same recipe, paired."
    )
    return make_view("factorization", caption, columns, distinct(select(frame, kind="factorization"), "model", "steps", "kind"), frame)


def dictionary(frame: pd.DataFrame) -> View:
    """Validity and coverage at each step count, the errors of one step, the data's own total correlation."""
    means = select(frame, kind="dictionary", seed=None)
    models = means[means["model"] != "data"]
    measured = [line for line in distinct(models, "metric", "steps") if line["metric"] in METRICS]
    columns = [words("Language", lambda line: line["setting"]), MODEL]
    for line in sorted(measured, key=lambda line: (line["steps"], list(METRICS).index(line["metric"]))):
        columns.append(numbers(f"{METRICS[line['metric']]}, {step_words(line['steps'])}", line))
    for metric in ("total_correlation_nats", "theorem_bound_nats"):
        columns.append(numbers(METRICS[metric], {"metric": metric, "model": "data", "steps": 1}))
    bias = select(means, metric="kl_bias_nats")["value"].max()
    caption = (
        "K random words of L letters, equally likely, with 95% intervals (several seeds: least and largest). Coverage: different words "
        "among K samples, over the number expected of the data. Error, KL: of the mean over noise of one step from the data, exact over "
        f"words, by draws over noise (too high by at most {bias:.2g} nats on average). Valid mass: mean over noise of -ln P(a word). Total "
        "correlation: the least error of one mask in one step. Theorem 4.1's bound on it is one pair's mutual information."
    )
    return make_view("dictionary", caption, columns, distinct(models, "setting", "model"), means)


def chain(frame: pd.DataFrame) -> View:
    """A line for each model and step count, the data last."""
    means = select(frame, kind="chain", seed=None)
    lines = [{"name": name_of(line["model"])} | line for line in distinct(means[means["model"] != "data"], "model", "steps")]
    data = {"model": "data", "steps": None}
    lines += [data | {"name": "Data, as many samples"}, data | {"name": "Data, exact", "exact": True}]

    def column(metric: str) -> Column:
        def where(line: Line) -> dict[str, Any] | None:
            own = _EXACT.get(metric) if line.get("exact") else metric
            return own and {"model": line["model"], "steps": line["steps"], "metric": own}

        return numbers(METRICS[metric], where)

    caption = (
        f"Sequences of a stationary Markov chain ({means['setting'].iloc[0]}), with 95% intervals (several seeds: least and largest). NLL: "
        "exact, under the chain. Bigram entropy and KL from the chain's transitions are plug-in estimates of the samples' bigrams: the KL "
        "of the data's own samples is the floor. Best MDM: exact conditional marginals instead of a network. All metrics weigh what a "
        "model writes: too sharp marginals can be below it without being nearer."
    )
    measured = metrics_in(means)
    columns = [words("Model", lambda line: line["name"]), STEPS, *(column(metric) for metric in METRICS if metric in measured)]
    return make_view("chain", caption, columns, lines, means)


TABLES = {"copies": copies, "pairs": pairs, "factorization": factorization, "dictionary": dictionary, "chain": chain}
