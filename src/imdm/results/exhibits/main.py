"""The tables of the main comparison, from tables.csv: Tables 1, 2, 4 and 5, the frontier, further metrics, judge and teacher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from imdm.params import PUBLIC
from imdm.results import plan
from imdm.results.digits import better_cell, decided_cell, paper_cell, seeds_cell, short_cell, value_cell
from imdm.results.exhibits.captions import judge_words, paper_note, precisions
from imdm.results.frame import RATIO, one, select
from imdm.results.layout import MODEL, STEPS, Column, Line, Side, Table, distinct, metrics_in
from imdm.results.names import BASELINE, METRICS, REAL, TEACHER, baseline_of, metric_name, name_of, setting_of
from imdm.results.seeds import training_seeds, with_seed_means
from imdm.results.verdict import verdict
from imdm.results.view import Cell

_ALONE = (BASELINE, PUBLIC)  # models that stand under MDLM
_RECIPE = Side("Recipe", lambda line: Cell(line["label"], None, line.get("mark", "")))


def challenges(frame: pd.DataFrame) -> list[Line]:
    """What is compared: label, `ours` and `base` of each group of lines.

    What MDLM alone has, and public checkpoints, are a `base` without `ours`; a keyed student's base is what it learns from.
    """
    recipes: dict[str, list[str]] = {}
    for line in distinct(select(frame, kind="samples", metric="gen_ppl", replicate=0), "variant", "recipe"):
        if line["recipe"]:
            recipes.setdefault(line["recipe"], []).append(line["variant"])
    found = []
    for recipe, variants in recipes.items():
        paired = set(variants) - set(_ALONE)
        for variant in [name for name in variants if name != BASELINE or not paired]:
            model = f"{variant}/{recipe}"
            base = model if variant in _ALONE else baseline_of(model)
            plain = variant in (*_ALONE, "imdm") or len(variants) == 1 and base == TEACHER
            label = setting_of(model) if plain else f"{setting_of(model)}: {name_of(variant)}"
            found.append({"label": label[0].upper() + label[1:], "base": base, "ours": None if model == base else model})
    return found


def comparisons(frame: pd.DataFrame) -> list[Line]:
    """A line of `challenges` for every step count at which one of the two was sampled."""
    samples = select(frame, kind="samples", metric="gen_ppl")
    found = []
    for line in challenges(frame):
        steps = select(samples, model=[line["base"], line["ours"]])["steps"].unique()
        found += [line | {"steps": int(n)} for n in sorted(steps)]
    return found


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
    at = {"kind": "equal_entropy", "target": target}
    return [
        Column(heads.format("MDLM"), _of("base", **at)),
        Column(heads.format("IMDM"), _of("ours", **at)),
        Column(heads.format("ratio"), _of("ratio", **at), decided_cell),
    ]


def table04(frame: pd.DataFrame) -> Table:
    """Gen-PPL of the teacher and of each recipe with one mask and with infinitely many."""
    seeds = training_seeds(frame)
    columns = [
        Column("MDLM", _of("base")),
        Column("IMDM", _of("ours")),
        Column("IMDM / MDLM", _of("ratio")),
        Column("Better", _of("ratio"), better_cell),
        *_at_entropy("teacher", "{}, equal entropy"),
    ]
    if seeds:
        columns += [Column(f"{head}, seeds", _of(role, replicate=None), seeds_cell) for head, role in (("MDLM", "base"), ("IMDM", "ours"))]
        columns.append(Column("ratio, seeds", _of("ratio", replicate=None), seeds_cell))
        equal = _of("ratio", kind="equal_entropy", target="teacher", replicate=None)
        columns.append(Column("ratio at equal entropy, seeds", equal, seeds_cell))
    heads = {"base": "paper MDLM", "ours": "paper IMDM", "ratio": "paper ratio"}
    columns += [Column(head, _of(role), paper_cell) for role, head in heads.items()]
    spread = f"Seeds: mean ± standard deviation over {seeds} training seeds; all other columns are of the first. " if seeds else ""
    caption = (
        f"Generative perplexity under {judge_words(frame)}, lower is better, with bootstrap 95% intervals. The teacher and the real text "
        "stand under MDLM, and there stands the teacher beside its keyed distillation. Better: the model for which the interval of the "
        "ratio leaves out 1, else tie; that interval is paired, since both models draw with the same random numbers. Equal entropy: both "
        f"at the teacher's entropy at the same number of steps, by temperature (table frontier). {spread}{verdict(frame)} "
        f"{precisions(frame)} {paper_note(4)}"
    )
    return Table(
        "table04", f"Table 4. {plan.title('table04')}", caption, [_RECIPE, STEPS], _references(frame) + comparisons(frame), columns
    )


def table05(frame: pd.DataFrame) -> Table:
    """Entropy of the same samples."""
    columns = []
    for heads, metric, more, show in (
        ("{}", "entropy", {}, value_cell),
        ("{}, temperature", "temperature", {"kind": "equal_entropy", "target": "teacher"}, value_cell),
        ("paper {}", "entropy", {}, paper_cell),
    ):
        columns += [Column(heads.format(name), _of(role, metric, **more), show) for name, role in (("MDLM", "base"), ("IMDM", "ours"))]
    caption = (
        "Unigram entropy of each sample's tokens in nats, averaged over samples, with bootstrap 95% intervals; a Gen-PPL bought by "
        "repetition shows as a low entropy. Temperature: that at which the model has the teacher's entropy at the same number of "
        f"steps (table frontier). {precisions(frame)} {paper_note(4)}"
    )
    return Table(
        "table05", f"Table 5. {plan.title('table05')}", caption, [_RECIPE, STEPS], _references(frame) + comparisons(frame), columns
    )


def frontier(frame: pd.DataFrame) -> Table:
    """Gen-PPL at the teacher's and at the data's entropy."""
    aimed = select(frame, kind="equal_entropy", metric="entropy")
    teacher = [{"label": name_of(TEACHER), "base": TEACHER, "ours": None, "steps": int(n)} for n in select(aimed, model=TEACHER)["steps"]]
    entropy = Column(
        "Teacher's entropy (nats)",
        lambda line: {"kind": "equal_entropy", "model": TEACHER, "target": "teacher", "metric": "entropy", "steps": line["steps"]},
    )
    columns = [entropy, *_at_entropy("teacher", "{} at the teacher's entropy"), *_at_entropy("data", "{} at the data's entropy")]
    tried = ", ".join(f"{heat:g}" for heat in select(frame, kind="frontier", model=TEACHER)["temperature"].unique())
    caption = (
        f"Gen-PPL under {judge_words(frame)} at equal entropy, with bootstrap 95% intervals that cover the entropy aimed at as well: "
        f"log Gen-PPL is interpolated in entropy between the sampling temperatures {tried}. "
        "The teacher's entropy is that of its own samples at the same number of steps, the data's "
        f"{value_cell(one(aimed, model=REAL)).text} nats. > x: at every temperature the entropy stays below the one aimed at, and x is the "
        "Gen-PPL at the highest; < x: it stays above, and x is the Gen-PPL at the lowest. In brackets – is an end out of reach. Ratio: "
        "IMDM / MDLM, paired, filled where its interval leaves out 1."
    )
    return Table("frontier", plan.title("frontier"), caption, [_RECIPE, STEPS], teacher + comparisons(frame), columns)


def ratios(frame: pd.DataFrame) -> Table:
    """Gen-PPL of IMDM over that of MDLM: a line a recipe, a column a step count, below each at equal entropy and the paper's."""
    found, seeds = select(with_seed_means(frame), metric=RATIO), training_seeds(frame)
    body = []
    for line in challenges(frame):
        model = line["ours"]
        sampled = line | {"kind": "samples", "replicate": 0, "target": ""}
        at_entropy = sampled | {"label": "at equal entropy", "kind": "equal_entropy", "target": "teacher", "mark": "below"}
        over_seeds = sampled | {"label": f"{seeds} training seeds", "replicate": None, "mark": "below"}
        papers = sampled | {"label": "paper", "mark": "paper", "paper": True}
        of_model = select(found, model=model or [])
        for one_line in (sampled, over_seeds, at_entropy):
            there = select(of_model, **{name: one_line[name] for name in ("kind", "replicate", "target")})
            body += [one_line] if len(there) else []
        body += [papers] if select(of_model, kind="samples")["paper"].notna().any() else []

    def column(steps: int) -> Column:
        keys = ("kind", "replicate", "target")
        return Column(
            f"{steps} step{'s' if steps > 1 else ''}",
            lambda line: {name: line[name] for name in keys} | {"model": line["ours"], "metric": RATIO, "steps": steps},
            lambda row: seeds_cell(row) if row and row.replicate is None else short_cell(row),
        )

    caption = (
        "Gen-PPL of IMDM divided by that of MDLM, and of a keyed distillation by that of its teacher; below 1 IMDM is better. Filled cells "
        "are decided: the ratio's paired 95% interval leaves out 1. At equal entropy: both at the teacher's entropy at the same number of "
        f"steps. {'Training seeds: mean ± standard deviation. ' if seeds else ''}Paper: the same ratio from its Table 4."
    )
    columns = [column(int(steps)) for steps in sorted(select(found, kind="samples")["steps"].unique())]
    return Table("ratios", plan.title("ratios"), caption, [_RECIPE], body, columns)


def quality(frame: pd.DataFrame) -> Table:
    """Every further metric of the samples, one column each."""
    found = select(frame, kind="samples", replicate=0)
    found = found[~found["metric"].isin(["gen_ppl", "entropy", RATIO])]
    caption = "Further metrics of the same samples. MAUVE is a mean over k-means seeds, with one standard deviation to either side."
    columns = [Column(metric_name(metric), _metric("samples", metric)) for metric in metrics_in(found)]
    return Table("quality", plan.title("quality"), caption, [MODEL, STEPS], distinct(found, "model", "steps"), columns)


def _metric(kind: str, metric: str) -> Callable[[Line], dict[str, Any]]:
    return lambda line: {"kind": kind, "metric": metric, "model": line["model"], "steps": line["steps"]}


def models(frame: pd.DataFrame) -> Table:
    """What the judge and the teacher are worth on held-out text."""
    lines = [{"name": "Judge", "kind": "judge"}, {"name": "Teacher (NELBO bound)", "kind": "validation"}]
    heads = {"val_ppl": "Held-out perplexity"} | {name: METRICS[name] for name in ("unigram_perplexity", "parameters")}
    columns = [Column(head, lambda line, metric=metric: {"kind": line["kind"], "metric": metric}) for metric, head in heads.items()]
    caption = "Perplexity on held-out text beside that of token frequencies alone on the same split: what they have learnt."
    return Table("models", plan.title("models"), caption, [Side("Model", lambda line: Cell(line["name"]))], lines, columns)


def _synthetic(metric: str) -> Callable[[Line], dict[str, Any]]:
    return lambda line: {"kind": "synthetic", "seed": None, "metric": metric} | line


def _seeds(frame: pd.DataFrame) -> str:
    count = select(frame, kind="synthetic")["seed"].nunique()
    return f"mean of {count} seeds [least, largest]" if count > 1 else "one seed [95% interval]"


def table01(frame: pd.DataFrame) -> Table:
    """The synthetic task in one step, mean over seeds."""
    found = select(frame, kind="synthetic", setting="", seed=None)
    there = metrics_in(found)
    columns = []
    for metric in [name for name in METRICS if name in there]:
        columns.append(Column(METRICS[metric], _synthetic(metric)))
        columns += [Column("paper", _synthetic(metric), paper_cell)] if metric != "error_kl_nats" else []
    caption = (
        f"One-step generation of {{00, 11}} with fresh noise, {_seeds(frame)}. "
        "The data's token entropy is ln 2 = 0.69; a model that draws tokens independently has error ln 2 = 0.693. "
        "Valid mass: mean over noise of -ln P(valid). KL: KL(data || mean over noise of the product of the tokens' probabilities). "
        "The paper's error is only possible as the first."
    )
    return Table("table01", f"Table 1. {plan.title('table01')}", caption, [MODEL], distinct(found, "model", "setting"), columns)


def table02(frame: pd.DataFrame) -> Table:
    """Output probabilities under two noise realizations, mean over seeds."""
    found = select(frame, kind="synthetic", seed=None)
    found = found[found["setting"] != ""].sort_values("model", key=lambda models: models.map(list(models.unique()).index), kind="stable")
    columns = []
    for place in (1, 2):
        where = _synthetic(f"P(token{place}=0)_pct")
        columns += [Column(f"Token {place}", where), Column("paper", where, paper_cell)]
    caption = (
        f"P(token = 0) in percent at full masking, {_seeds(frame)}. Noise A is the first that leads to 0, "
        "noise B the first that leads to 1. A model with one mask sees no noise, so its two rows are equal."
    )
    sides = [MODEL, Side("Noise", lambda line: Cell(line["setting"]))]
    return Table("table02", f"Table 2. {plan.title('table02')}", caption, sides, distinct(found, "model", "setting"), columns)


SYNTHETIC = (table01, table02)
TABLES = (table04, table05, frontier, quality, *SYNTHETIC, models, ratios)


def tables(frame: pd.DataFrame) -> list[Table]:
    """Every table of tables.csv, in the order of the report."""
    return [table(frame) for table in TABLES]
