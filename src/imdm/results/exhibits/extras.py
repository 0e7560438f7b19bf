"""Tables beyond the paper: what samples copy, what models know of pairs, the factorization error, and the two small languages."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pandas as pd

from imdm.results import plan
from imdm.results.digits import better_cell, decided_cell
from imdm.results.frame import DIFFERENCE, RATIO, select
from imdm.results.layout import MODEL, STEPS, Column, Line, Side, Table, distinct, metrics_in
from imdm.results.names import METRICS, REAL, TEACHER, metric_name, name_of
from imdm.results.view import Cell

_PAIRS = ("nll_seen_own", "nll_seen_fresh", "noise_gap_seen", "nll_unseen_own", "nll_unseen_fresh", "noise_gap_unseen", "pair_gap")
_PAIRS += ("equal_seen_own_pct", "equal_seen_fresh_pct", "equal_unseen_own_pct")
_PARTS = ("correlation_nats_per_token", "marginals_nats_per_token", "dependence_nats_per_token")
_EXACT = {"nll_nats": "entropy_nats", "bigram_entropy_nats": "entropy_rate_nats"}  # the Markov chain's own value of a metric


def _text(head: str, key: str) -> Side:
    return Side(head, lambda line: Cell(name_of(line[key]) if line[key] else "none"))


def _at(metric: str, **more: Any) -> Callable[[Line], dict[str, Any]]:
    """Where a line's number of a metric is."""
    return lambda line: line | {"metric": metric} | more


def _columns(metrics: list[str] | tuple[str, ...]) -> list[Column]:
    return [Column(metric_name(metric), _at(metric)) for metric in metrics]


def copies(frame: pd.DataFrame) -> Table:
    """What samples share with couplings, training text and each other; by couplings, each with the teacher and real text."""
    samples = select(frame, kind="copies")
    of_couplings = samples["couplings"] != ""
    trained = set(samples[of_couplings]["model"]) - {REAL, TEACHER}
    alone = distinct(samples[~of_couplings & ~samples["model"].isin(trained)].assign(couplings=""), "couplings", "model", "steps")
    on = [metric for metric in metrics_in(samples[of_couplings]) if "_q95_" not in metric]
    off = [metric for metric in metrics_in(samples[~of_couplings]) if "_q95_" not in metric]
    columns = _columns(on) + [Column(metric_name(metric), _at(metric, couplings="")) for metric in off]
    caption = (
        "Percent, mean over samples with bootstrap 95% intervals. N-grams are of tokens, at all positions; those of couplings are looked "
        "for in all that a model was trained on, beside the teacher's samples and as much held-out text. Nearest coupling: the largest "
        "share of equal tokens at equal positions. Nearest block: the largest share of the longest n-grams that one training block has. "
        "In other samples: of the same model and steps. Copies show as shares well above the teacher's and real text's."
    )
    lines = alone + distinct(samples[of_couplings], "couplings", "model", "steps")
    return Table("copies", plan.title("copies"), caption, [_text("Couplings of", "couplings"), MODEL, STEPS], lines, columns)


def pairs(frame: pd.DataFrame) -> Table:
    """What models know of pairs in one step, with the pairs' own noise and with fresh noise."""
    caption = (
        "One prediction from a noised block: nats a masked token (NLL) of the text that the teacher of the pairs wrote there, with "
        "bootstrap 95% intervals over pairs. Seen: couplings that a model was rectified on (their teacher was not); unseen: others of the "
        "same teacher. Own: the noise that a pair has; fresh: another; a model with one mask can't tell them apart. Pair gap: what an "
        "unseen pair costs more than a seen one, which is memorization; a noise gap on unseen pairs would be a map that was learnt."
    )
    lines = distinct(select(frame, kind="pairs"), "couplings", "model")
    return Table("pairs", plan.title("pairs"), caption, [_text("Pairs of", "couplings"), MODEL], lines, _columns(_PAIRS))


def error_metrics(frame: pd.DataFrame) -> dict[int, str]:
    """The metric of the factorization error with M noise draws, in nats a token, by rising M."""
    matches = (re.fullmatch(r"error_m(\d+)_nats_per_token", metric) for metric in metrics_in(frame, kind="factorization"))
    return dict(sorted((int(match[1]), match[0]) for match in matches if match))


def factorization(frame: pd.DataFrame) -> Table:
    """Errors by model and step count, their parts, and the difference to MDLM beside whose Gen-PPL is lower.

    Args:
        frame: with the ratios of Gen-PPL of tables.csv.
    """
    by_draws = error_metrics(frame)
    columns = [Column(f"Error, M={draws}", _at(metric)) for draws, metric in by_draws.items()]
    columns.append(Column("A sequence", _at(f"error_m{max(by_draws)}_nats_per_sequence")))
    columns += [*_columns(_PARTS), Column("Minus MDLM's", _at(DIFFERENCE), decided_cell)]
    columns.append(Column("Gen-PPL lower", _at(RATIO, kind="samples"), better_cell))
    caption = (
        "Eq. 6 on held-out blocks, the teacher's chain rule for the joint: KL(joint || one step), summed over the transitions of each "
        "step count, in nats per written token, with 95% bootstrap intervals over sequences. M noise draws stand for a model with noise; "
        "the estimate is too high and falls with M. At the largest M the error is the teacher's total correlation, plus what the model's "
        "single positions err by (marginals), minus the dependence between positions that the noise brings. Last columns: the error minus "
        "that of MDLM with the same recipe (paired), and whose Gen-PPL is lower by the paired interval of the ratio."
    )
    lines = distinct(select(frame, kind="factorization"), "model", "steps", "kind")
    return Table("factorization", plan.title("factorization"), caption, [MODEL, STEPS], lines, columns)


def dictionary(frame: pd.DataFrame) -> Table:
    """Validity and coverage at each step count, the errors of one step, the data's own total correlation."""
    means = select(frame, kind="dictionary", seed=None)
    models = means[means["model"] != "data"]
    shown = [line for line in distinct(models, "metric", "steps") if line["metric"] in METRICS]
    shown = sorted(shown, key=lambda line: (line["steps"], list(METRICS).index(line["metric"])))
    columns = [
        Column(
            f"{METRICS[at['metric']]}, {at['steps']} step{'s' if at['steps'] > 1 else ''}", _at(at["metric"], steps=at["steps"], seed=None)
        )
        for at in shown
    ]
    own = ("total_correlation_nats", "theorem_bound_nats")
    columns += [Column(METRICS[metric], _at(metric, model="data", steps=1, seed=None)) for metric in own]
    bias = select(means, metric="kl_bias_nats")["value"].max()
    caption = (
        "K words of L letters, drawn at random and equally likely. Validity: samples that are words, with 95% intervals (several "
        "seeds: least and largest). Coverage: different words among K samples over the number expected of the data. Error, KL: "
        "KL(data || mean over noise of one step), exact over words, over noise by draws (too high by at most "
        f"{bias:.2g} nats on average); valid mass: mean over noise of -ln P(a word). Total correlation: what no model with one mask "
        "goes below in one step; Theorem 4.1's bound on it is one pair's mutual information, far lower for longer words."
    )
    lines = distinct(models, "setting", "model")
    return Table("dictionary", plan.title("dictionary"), caption, [_text("Language", "setting"), MODEL], lines, columns)


def chain(frame: pd.DataFrame) -> Table:
    """A line for each model and step count, the data last."""
    means = select(frame, kind="chain", seed=None)
    there = metrics_in(means)
    models = [{"name": name_of(line["model"])} | line for line in distinct(means[means["model"] != "data"], "model", "steps")]
    about = {"model": "data", "steps": None}
    data = [about | {"name": "Data, as many samples"}, about | {"name": "Data, exact", "exact": True}]

    def column(metric: str) -> Column:
        def where(line: Line) -> dict[str, Any] | None:
            exact = _EXACT.get(metric) if line.get("exact") else metric
            return exact and {"model": line["model"], "steps": line["steps"], "metric": exact, "seed": None}

        return Column(METRICS[metric], where)

    caption = (
        f"Sequences of a stationary Markov chain ({means['setting'].iloc[0]}), with 95% intervals (several seeds: least and largest). NLL: "
        "exact, under the chain; below the data's exact value, samples are more typical than the data. Bigram entropy and KL: of the "
        "samples' own bigrams, the KL from the chain's transitions, which counts wrong and missing ones; both are plug-in estimates, so "
        "that the KL of the data's own samples is the floor. Best MDM: exact conditional marginals in the place of a network. All metrics "
        "weigh what a model writes, so one whose marginals are too sharp can be below it without being nearer to the data."
    )
    columns = [column(metric) for metric in METRICS if metric in there]
    return Table("chain", plan.title("chain"), caption, [_text("Model", "name"), STEPS], models + data, columns)


TABLES = {"copies": copies, "pairs": pairs, "factorization": factorization, "dictionary": dictionary, "chain": chain}
