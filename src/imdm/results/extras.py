"""Tables beyond the paper: what samples copy, what models know of pairs, and the factorization error."""

from __future__ import annotations

import re
from collections.abc import Callable

import pandas as pd

from imdm.results.frame import DIFFERENCE, RATIO, select
from imdm.results.names import METRICS, REAL, TEACHER, baseline_of, metric_name, name_of
from imdm.results.plan import DILATED
from imdm.results.table import MODEL, STEPS, Column, Line, distinct, make_view, metric_columns, metrics_in, numbers, words
from imdm.results.view import View

_PAIRS = ["nll_seen_own", "nll_seen_fresh", "noise_gap_seen", "nll_unseen_own", "nll_unseen_fresh", "noise_gap_unseen", "pair_gap"]
_PAIRS += ["equal_seen_own_pct", "equal_seen_fresh_pct", "equal_unseen_own_pct"]
_PARTS = ("correlation_nats_per_token", "marginals_nats_per_token", "dependence_nats_per_token")


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
        "the pair; fresh: another. Pair gap: unseen minus seen; where its whole interval is above 1 nat, a model has its pairs by heart. "
        "A noise gap on unseen pairs is a learnt map."
    )
    columns = [_couplings("Pairs of"), MODEL, *metric_columns(_PAIRS)]
    return make_view("pairs", caption, columns, distinct(select(frame, kind="pairs"), "couplings", "model"), frame)


def factorization(frame: pd.DataFrame) -> View:
    """Errors, their parts, and the difference to MDLM beside whose Gen-PPL is lower, by the ratios of tables.csv."""
    matches = (re.fullmatch(r"error_m(\d+)_nats_per_token", metric) for metric in metrics_in(frame, kind="factorization"))
    draws = sorted(int(match[1]) for match in matches if match)
    columns = [MODEL, STEPS, *(numbers(f"Error, M={m}", {"metric": f"error_m{m}_nats_per_token"}) for m in draws)]
    columns += [numbers("A sequence", {"metric": f"error_m{max(draws)}_nats_per_sequence"}), *metric_columns(_PARTS)]
    bound = "theorem_bound_nats" in metrics_in(frame, model="data")
    columns += [numbers(METRICS["theorem_bound_nats"], {"metric": "theorem_bound_nats"})] * bound
    columns.append(numbers("Minus MDLM's", {"metric": DIFFERENCE}, "decided"))
    columns.append(numbers("Gen-PPL lower", {"metric": RATIO, "kind": "samples"}, "better"))
    caption = (
        "Eq. 6 on held-out blocks: the KL divergence of one step from the teacher's joint by its chain rule, summed over the transitions "
        "of each step count, in nats a token, with 95% bootstrap intervals over sequences. A model with noise is a mean over M draws; "
        "the estimate is too high and falls with M. At the largest M the error is the teacher's total correlation, plus the error of the "
        "single positions (marginals), minus the dependence that the noise brings. Minus MDLM's: of the same recipe, paired."
    )
    if bound:
        caption += " Data, exact: the language's total correlation, in several steps over random texts and orders, and Theorem 4.1's bound."
    return make_view("factorization", caption, columns, distinct(select(frame, kind="factorization"), "model", "steps", "kind"), frame)


def _over(base: Callable[[str], str | None]) -> Callable[[Line], Line | None]:
    """Where the ratio of a model's dilated samples over those of another is."""
    return lambda line: line | {"kind": DILATED, "metric": RATIO, "against": against} if (against := base(line["model"])) else None


def unmasking(frame: pd.DataFrame) -> View:
    """Gen-PPL, entropy and MAUVE as the run draws samples and with the positions of a step far apart."""
    columns = [MODEL, STEPS]
    for metric in ("gen_ppl", "entropy", "mauve"):
        name = metric_name(metric)
        columns += [numbers(name, {"kind": "samples", "metric": metric}), numbers(f"{name}, dilated", {"kind": DILATED, "metric": metric})]
    columns.insert(4, numbers("Dilated / as the run", _over(lambda model: model), "decided"))
    columns.insert(5, numbers("Dilated / its baseline", _over(baseline_of), "decided"))
    caption = (
        "The same models and random numbers, with other positions in each step. Dilated: as many in each step, those of a step far "
        "apart (arXiv 2506.19037); the networks are the same. With bootstrap 95% intervals; ratios of Gen-PPL are paired. Its baseline: "
        "what the model is compared with in Table 4, dilated too."
    )
    return make_view("unmasking", caption, columns, distinct(select(frame, kind=DILATED, metric="gen_ppl"), "model", "steps"), frame)


TABLES = {"copies": copies, "pairs": pairs, "factorization": factorization, "unmasking": unmasking}
