"""The tables of the main comparison, from tables.csv: Tables 1, 2, 4 and 5, the frontier, further metrics, judge and teacher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from imdm.results.cells import better_cell, decided_cell, digits, paper_cell, seeds_cell, value_cell
from imdm.results.comparison import comparisons
from imdm.results.frame import RATIO, one, select, with_seed_means
from imdm.results.layout import MODEL, STEPS, Column, Line, distinct, make_view, metric_column, metrics_in, numbers, words
from imdm.results.names import METRICS, REAL, TEACHER, metric_name, name_of
from imdm.results.paper import paper_note
from imdm.results.view import View

_RECIPE = words("Recipe", lambda line: line["label"])
_ROLES = {"base": "MDLM", "ours": "IMDM", "ratio": "ratio"}
_AT_TEACHERS = {"kind": "equal_entropy", "target": "teacher"}


def _compared(frame: pd.DataFrame) -> list[Line]:
    """The lines of what is compared, one for each step count at which one of the two was sampled."""
    samples, body = select(frame, kind="samples", metric="gen_ppl"), []
    for line in comparisons(frame):
        steps = select(samples, model=[line["base"], line["ours"]])["steps"].unique()
        body += [line | {"steps": int(n)} for n in sorted(steps)]
    return body


def _references(frame: pd.DataFrame) -> list[Line]:
    """Lines of the real text and of the teacher, whose value stands under MDLM."""
    about = {"ours": None, "reference": True}
    steps = select(frame, kind="samples", model=TEACHER, metric="gen_ppl")["steps"].unique()
    teacher = [about | {"label": name_of(TEACHER), "base": TEACHER, "steps": int(n)} for n in steps]
    return [about | {"label": name_of(REAL), "base": REAL, "steps": None, "kind": "reference"}, *teacher]


def _of(role: str, metric: str = "gen_ppl", kind: str = "samples", **more: Any) -> Callable[[Line], dict[str, Any] | None]:
    """Where the number of a line's `base` or `ours` is, or of their `ratio`."""

    def where(line: Line) -> dict[str, Any] | None:
        if line["base" if role == "base" else "ours"] is None or (kind != "samples" and line.get("reference")):
            return None
        about = {"kind": line.get("kind", kind), "steps": line["steps"], "replicate": 0} | more
        if role == "ratio":
            return about | {"metric": RATIO, "model": line["ours"]}
        return about | {"metric": metric, "model": line[role]}

    return where


def _at_entropy(target: str, heads: str) -> list[Column]:
    shows = {"base": value_cell, "ours": value_cell, "ratio": decided_cell}
    return [numbers(heads.format(name), _of(role, kind="equal_entropy", target=target), shows[role]) for role, name in _ROLES.items()]


def _judge(frame: pd.DataFrame) -> str:
    """The judge and its own perplexity on held-out text."""
    judge = one(frame, kind="judge", metric="val_ppl")
    return f"the judge {judge.setting!r} (own held-out perplexity {digits(judge.value, judge.metric)})" if judge else "the judge"


def table04(frame: pd.DataFrame) -> View:
    """Gen-PPL of the teacher and of each recipe with one mask and with infinitely many."""
    columns = [_RECIPE, STEPS, numbers("MDLM", _of("base")), numbers("IMDM", _of("ours")), numbers("IMDM / MDLM", _of("ratio"))]
    columns += [numbers("Better", _of("ratio"), better_cell), *_at_entropy("teacher", "{}, equal entropy")]
    seeds = select(frame, kind="samples")["replicate"].nunique()
    if seeds > 1:
        columns += [numbers(f"{name}, seeds", _of(role, replicate=None), seeds_cell) for role, name in _ROLES.items()]
        columns.append(numbers("ratio at equal entropy, seeds", _of("ratio", replicate=None, **_AT_TEACHERS), seeds_cell))
    columns += [numbers(f"paper {name}", _of(role), paper_cell) for role, name in _ROLES.items()]
    precision = ", ".join(sorted(set(select(frame, kind="samples", metric="gen_ppl")["setting"])))
    caption = (
        f"Under {_judge(frame)}, lower is better, with bootstrap 95% intervals. Samples were drawn in {precision}. A keyed distillation "
        "stands beside its teacher. Better: the model for which the ratio's interval, paired by common random numbers, leaves out 1. Equal "
        "entropy: both at the teacher's entropy at the same number of steps, by temperature (table frontier). "
        f"{f'Seeds: mean ± standard deviation over {seeds} training seeds; else the first. ' if seeds > 1 else ''}{paper_note(4)}"
    )
    return make_view("table04", caption, columns, _references(frame) + _compared(frame), with_seed_means(frame))


def table05(frame: pd.DataFrame) -> View:
    """Entropy of the same samples."""
    columns, roles = [_RECIPE, STEPS], list(_ROLES.items())[:2]
    columns += [numbers(name, _of(role, "entropy")) for role, name in roles]
    columns += [numbers(f"{name}, temperature", _of(role, "temperature", **_AT_TEACHERS)) for role, name in roles]
    columns += [numbers(f"paper {name}", _of(role, "entropy"), paper_cell) for role, name in roles]
    caption = (
        "Unigram entropy of each sample's tokens in nats, averaged over samples, with bootstrap 95% intervals; a Gen-PPL bought by "
        "repetition shows as a low entropy. Temperature: that at which the model has the teacher's entropy at the same number of "
        f"steps. {paper_note(5)}"
    )
    return make_view("table05", caption, columns, _references(frame) + _compared(frame), frame)


def frontier(frame: pd.DataFrame) -> View:
    """Gen-PPL at the teacher's and at the data's entropy."""
    aimed = select(frame, kind="equal_entropy", metric="entropy")
    teacher = [{"label": name_of(TEACHER), "base": TEACHER, "ours": None, "steps": int(n)} for n in select(aimed, model=TEACHER)["steps"]]
    entropy = numbers(
        "Teacher's entropy (nats)", lambda line: _AT_TEACHERS | {"model": TEACHER, "metric": "entropy", "steps": line["steps"]}
    )
    columns = [
        _RECIPE,
        STEPS,
        entropy,
        *_at_entropy("teacher", "{} at the teacher's entropy"),
        *_at_entropy("data", "{} at the data's entropy"),
    ]
    tried = ", ".join(f"{heat:g}" for heat in select(frame, kind="frontier", model=TEACHER)["temperature"].unique())
    caption = (
        f"Under {_judge(frame)}, with bootstrap 95% intervals that cover the entropy aimed at as well: log Gen-PPL is interpolated in "
        f"entropy between the sampling temperatures {tried}. The teacher's entropy is that of its own samples at the same number of "
        f"steps, the data's {value_cell(one(aimed, model=REAL)).text} nats. > x: the entropy stays below the one aimed at, and x is the "
        "Gen-PPL at the highest temperature; < x: it stays above, and x is that at the lowest. In brackets – is an end out of reach."
    )
    return make_view("frontier", caption, columns, teacher + _compared(frame), frame)


def quality(frame: pd.DataFrame) -> View:
    """Every further metric of the samples, one column each."""
    further = select(frame, kind="samples", replicate=0)
    further = further[~further["metric"].isin(["gen_ppl", "entropy", RATIO])]
    columns = [MODEL, STEPS, *(metric_column(metric_name(metric), metric, kind="samples") for metric in metrics_in(further))]
    caption = "Further metrics of the same samples. MAUVE is a mean over k-means seeds, with one standard deviation to either side."
    return make_view("quality", caption, columns, distinct(further, "model", "steps"), frame)


def models(frame: pd.DataFrame) -> View:
    """What the judge and the teacher are worth on held-out text."""
    names = {"judge": "Judge", "validation": "Teacher (NELBO bound)"}
    heads = {"val_ppl": "Held-out perplexity"} | {name: METRICS[name] for name in ("unigram_perplexity", "parameters")}
    columns = [words("Model", lambda line: names[line["kind"]]), *(metric_column(head, metric) for metric, head in heads.items())]
    caption = "Perplexity on held-out text beside that of token frequencies alone on the same split: what they have learnt."
    return make_view("models", caption, columns, [{"kind": kind} for kind in names], frame)


def _seeds(frame: pd.DataFrame) -> str:
    count = select(frame, kind="synthetic")["seed"].nunique()
    return f"mean of {count} seeds [least, largest]" if count > 1 else "one seed [95% interval]"


def table01(frame: pd.DataFrame) -> View:
    """The synthetic task in one step, mean over seeds."""
    means = select(frame, kind="synthetic", setting="", seed=None)
    columns = [MODEL]
    for metric in [name for name in METRICS if name in metrics_in(means)]:
        columns.append(metric_column(METRICS[metric], metric))
        if metric != "error_kl_nats":
            columns.append(metric_column("paper", metric, paper_cell))
    caption = (
        f"One-step generation of {{00, 11}} with fresh noise, {_seeds(frame)}. "
        "The data's token entropy is ln 2 = 0.69; a model that draws tokens independently has error ln 2 = 0.693. "
        "Valid mass: mean over noise of -ln P(valid). KL: KL(data || mean over noise of the product of the tokens' probabilities). "
        "The paper's error is only possible as the first."
    )
    return make_view("table01", caption, columns, distinct(means, "model"), means)


def table02(frame: pd.DataFrame) -> View:
    """Output probabilities under two noise realizations, mean over seeds."""
    means = select(frame, kind="synthetic", seed=None)
    means = means[means["setting"] != ""].sort_values("model", key=lambda names: names.map(list(names.unique()).index), kind="stable")
    columns = [MODEL, words("Noise", lambda line: line["setting"])]
    for place in (1, 2):
        metric = f"P(token{place}=0)_pct"
        columns += [metric_column(METRICS[metric], metric), metric_column("paper", metric, paper_cell)]
    caption = (
        f"P(token = 0) in percent at full masking, {_seeds(frame)}. Noise A is the first that leads to 0, "
        "noise B the first that leads to 1. A model with one mask sees no noise, so its two lines are equal."
    )
    return make_view("table02", caption, columns, distinct(means, "model", "setting"), means)


SYNTHETIC = (table01, table02)
TABLES = (table04, table05, frontier, quality, *SYNTHETIC, models)
