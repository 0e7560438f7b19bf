"""The main comparison, from tables.csv: who is compared with whom, and its tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from imdm.params import EXTERNAL, PUBLIC, parse_recipe
from imdm.results.frame import RATIO, first_seed, one, select, with_seed_means
from imdm.results.names import BASELINE, METRICS, ORACLE, REAL, TEACHER, baseline_of, name_of, setting_of, step_words
from imdm.results.paper import paper_note
from imdm.results.plan import DILATED
from imdm.results.scoreboard import judge_words, quality
from imdm.results.table import (
    MODEL,
    STEPS,
    Column,
    Line,
    distinct,
    make_view,
    metrics_in,
    numbers,
    value_cell,
    words,
)
from imdm.results.view import View

_RECIPE = words("Recipe", lambda line: line["label"])
_ROLES = {"base": "MDLM", "ours": "IMDM", "ratio": "ratio"}
_ALONE = (BASELINE, PUBLIC, EXTERNAL)  # models that stand under MDLM
AT_TEACHERS = {"kind": "equal_entropy", "target": "teacher"}
WHERE = {"As sampled": {"kind": "samples"}, "At the teacher's entropy": AT_TEACHERS}  # the ratios that a comparison has


def comparisons(frame: pd.DataFrame) -> list[Line]:
    """What is compared: recipe, label, `ours` and `base` of each group of lines.

    What MDLM alone has, and public checkpoints, are a `base` without `ours`; a keyed student's base is what it learns from.
    """
    recipes: dict[str, list[str]] = {}
    for line in distinct(select(frame, kind="samples", metric="gen_ppl", replicate=0), "variant", "recipe"):
        if line["recipe"]:
            recipes.setdefault(line["recipe"], []).append(line["variant"])
    compared = []
    for recipe, variants in recipes.items():
        paired = set(variants) - set(_ALONE)
        for variant in [name for name in variants if name != BASELINE or not paired]:
            model = f"{variant}/{recipe}"
            base = model if variant in _ALONE else baseline_of(model)
            plain = variant in (*_ALONE, "imdm") or len(variants) == 1 and base == TEACHER
            label = setting_of(model) if plain else f"{setting_of(model)}: {name_of(variant)}"
            label = label[0].upper() + label[1:]
            compared.append({"recipe": recipe, "label": label, "base": base, "ours": None if model == base else model})
    return compared


def _stepped(frame: pd.DataFrame, *of: Line) -> list[Line]:
    """The lines of what is compared, one for each step count at which one of the two was sampled."""
    samples = select(frame, metric="gen_ppl")
    wanted = ({"kind": line.get("kind", "samples"), "model": [line["base"], line["ours"]]} for line in of)
    steps = [sorted(select(samples, **where)["steps"].unique()) for where in wanted]
    return [line | {"steps": int(n)} for line, counts in zip(of, steps, strict=True) for n in counts]


def _with_references(frame: pd.DataFrame) -> list[Line]:
    """Real text, the teacher, in the run's steps and in dilated ones, and a language's oracle, whose values stand under MDLM, and what is
    compared.
    """
    real, teacher, oracle = ({"label": name_of(model), "base": model, "ours": None, "reference": True} for model in (REAL, TEACHER, ORACLE))
    dilated = teacher | {"label": "Teacher, dilated steps", "kind": DILATED}
    return [real | {"steps": None, "kind": "reference"}, *_stepped(frame, teacher, dilated, oracle, *comparisons(frame))]


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
    shows = {"base": "value", "ours": "value", "ratio": "decided"}
    return [numbers(heads.format(name), _of(role, kind="equal_entropy", target=target), shows[role]) for role, name in _ROLES.items()]


def table04(frame: pd.DataFrame) -> View:
    """Gen-PPL of the teacher and of each recipe with one mask and with infinitely many."""
    columns = [_RECIPE, STEPS, numbers("MDLM", _of("base")), numbers("IMDM", _of("ours")), numbers("IMDM / MDLM", _of("ratio"))]
    matched = len(select(frame, kind="equal_entropy")) > 0
    columns += [numbers("Better", _of("ratio"), "better"), *(_at_entropy("teacher", "{}, equal entropy") if matched else [])]
    seeds = select(frame, kind="samples")["replicate"].nunique()
    if seeds > 1:
        columns += [numbers(f"{name}, seeds", _of(role, replicate=None), "seeds") for role, name in _ROLES.items()]
    columns += [numbers(f"paper {name}", _of(role), "paper") for role, name in _ROLES.items()]
    precision = ", ".join(sorted({*select(frame, kind="samples", metric="gen_ppl")["setting"]} - {""}))
    caption = (
        f"Under {judge_words(frame)}, lower is better, with bootstrap 95% intervals; sampled in {precision}. A keyed student stands beside "
        "its teacher. Dilated steps: those of a step lie far apart. Better: the model for which the ratio's paired interval leaves out 1. "
        f"{'Equal entropy: both models at the entropy of the teacher at as many steps, by temperature. ' if matched else ''}"
        f"{f'Seeds: mean ± standard deviation over {seeds} training seeds; else the first. ' if seeds > 1 else ''}{paper_note(4)}"
    )
    return make_view("table04", caption, columns, _with_references(frame), with_seed_means(frame))


def brief(frame: pd.DataFrame) -> View:
    """Table 4 in 100 columns: of single models the value alone, of ratios the interval too."""
    columns = [words("Recipe", _who), STEPS, numbers("MDLM", _of("base"), "point"), numbers("IMDM", _of("ours"), "point")]
    columns += [numbers("IMDM / MDLM", _of("ratio")), numbers("Better", _of("ratio"), "better")]
    if len(select(frame, kind="equal_entropy")):
        columns.append(numbers("equal entropy", _of("ratio", **AT_TEACHERS), "decided"))
    if select(frame, kind="samples")["replicate"].nunique() > 1:
        columns.append(numbers("ratio, seeds", _of("ratio", replicate=None), "seeds"))
    columns.append(numbers("paper", _of("ratio"), "paper"))
    return make_view("table04", "", columns, _with_references(frame), with_seed_means(frame))


def _who(line: Line) -> str:
    """A line's label, and of a keyed student in which column it stands."""
    recipe = parse_recipe(line.get("recipe", ""))
    return f"{line['label']} (under IMDM; under MDLM what it learns from)" if recipe and recipe.keyed else line["label"]


def table05(frame: pd.DataFrame) -> View:
    """Entropy of the same samples."""
    columns, roles = [_RECIPE, STEPS], list(_ROLES.items())[:2]
    columns += [numbers(name, _of(role, "entropy")) for role, name in roles]
    columns += [numbers(f"paper {name}", _of(role, "entropy"), "paper") for role, name in roles]
    caption = (
        "Unigram entropy of a sample's tokens in nats, mean over samples, with bootstrap 95% intervals. Repetition lowers Gen-PPL and "
        f"entropy. {paper_note(5)}"
    )
    return make_view("table05", caption, columns, _with_references(frame), frame)


def frontier(frame: pd.DataFrame) -> View:
    """Gen-PPL at the teacher's and at the data's entropy."""
    aimed = select(frame, kind="equal_entropy", metric="entropy")
    alone = [{"label": name_of(model), "base": model, "ours": None} for model in (TEACHER, ORACLE)]
    aim = AT_TEACHERS | {"model": TEACHER, "metric": "entropy"}
    columns = [_RECIPE, STEPS, numbers("Teacher's entropy (nats)", lambda line: aim | {"steps": line["steps"]})]
    columns += [column for target in ("teacher", "data") for column in _at_entropy(target, f"{{}} at the {target}'s entropy")]
    columns += [numbers(f"{name}, temperature", _of(role, "temperature", **AT_TEACHERS)) for role, name in list(_ROLES.items())[:2]]
    if select(frame, kind="samples")["replicate"].nunique() > 1:
        columns.append(numbers("ratio at equal entropy, seeds", _of("ratio", replicate=None, **AT_TEACHERS), "seeds"))
    tried = ", ".join(f"{heat:g}" for heat in select(frame, kind="frontier", model=TEACHER)["temperature"].unique())
    caption = (
        f"Under {judge_words(frame)}, with bootstrap 95% intervals that cover the entropy aimed at as well. Log Gen-PPL is interpolated in "
        f"entropy between the sampling temperatures {tried}. The teacher's entropy is that of its own samples at the same number of "
        f"steps; the data's is {value_cell(one(aimed, model=REAL)).text} nats. > x: the model's entropy stays below it, and x is its "
        "Gen-PPL at the highest temperature. < x: it stays above, and x is that at the lowest. –: out of reach. "
        "Temperature: the one at which the model has the teacher's entropy."
    )
    return make_view("frontier", caption, columns, _stepped(frame, *alone, *comparisons(frame)), with_seed_means(frame))


def language(frame: pd.DataFrame) -> View:
    """Validity and exact NLL of each model across the step counts; of several training seeds their mean validity too."""
    valid, columns = select(frame, kind="samples", metric="validity_pct"), [MODEL]
    for metric, head in (("validity_pct", "Valid (%)"), ("nll_valid_nats", "NLL, valid"), ("broken_tokens", "Broken words")):
        for steps in map(int, sorted(valid["steps"].unique())):
            columns.append(numbers(f"{head}, {step_words(steps)}", {"metric": metric, "steps": steps}))
    real = one(frame, kind="reference", metric="nll_valid_nats")
    caption = (
        "Texts that the language has, in percent; the exact negative log-probability of these in nats a word (of as many texts of the "
        f"language itself {value_cell(real).text}); and words that are more likely wrong than right. With bootstrap 95% intervals. "
        "Oracle: the exact marginals, the best MDM that can exist."
    )
    return make_view("language", caption, columns, distinct(valid, "model", "kind"), frame)


def examples(frame: pd.DataFrame) -> View:
    """The first text of each model and step count."""
    shown = select(first_seed(frame), kind="example")
    columns = [MODEL, STEPS, numbers("Broken", {"metric": "broken_tokens"}), words("Text", lambda line: line["setting"])]
    caption = "The first sample of each, with common random numbers; in brackets what is more likely wrong than right."
    return make_view("examples", caption, columns, distinct(shown, "model", "steps", "setting"), shown)


def models(frame: pd.DataFrame) -> View:
    """What the judge and the teacher are worth on held-out text."""
    names = {"judge": "Judge", "validation": "Teacher (NELBO bound)"}
    columns = [words("Model", lambda line: names[line["kind"]]), numbers("Held-out perplexity", {"metric": "val_ppl"})]
    columns += [numbers(METRICS[metric], {"metric": metric}) for metric in ("unigram_perplexity", "parameters")]
    caption = "Perplexity on held-out text, beside that of token frequencies alone on the same split."
    return make_view("models", caption, columns, [{"kind": kind} for kind in names], frame)


def _seeds(frame: pd.DataFrame) -> str:
    count = select(frame, kind="synthetic")["seed"].nunique()
    return f"mean of {count} seeds [least, largest]" if count > 1 else "one seed [95% interval]"


def table01(frame: pd.DataFrame) -> View:
    """The synthetic task in one step, mean over seeds."""
    means = select(frame, kind="synthetic", setting="", seed=None)
    columns = [MODEL]
    for metric in [name for name in METRICS if name in metrics_in(means)]:
        columns.append(numbers(METRICS[metric], {"metric": metric}))
        if metric != "error_kl_nats":
            columns.append(numbers("paper", {"metric": metric}, "paper"))
    caption = (
        f"One-step generation of {{00, 11}} with fresh noise, {_seeds(frame)}. "
        "Pairs of noise and text are balanced, but for those as they are drawn. "
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
        columns += [numbers(METRICS[metric], {"metric": metric}), numbers("paper", {"metric": metric}, "paper")]
    caption = (
        f"P(token = 0) in percent at full masking, {_seeds(frame)}. Noise A is the first that leads to 0, "
        "noise B the first that leads to 1. A model with one mask sees no noise, so its two lines are equal."
    )
    return make_view("table02", caption, columns, distinct(means, "model", "setting"), means)


_SAMPLED = ["samples", "reference", "judge", "control"]
SYNTHETIC = {table01: ["synthetic"], table02: ["synthetic"]}
LANGUAGE = {language: ["samples", "reference"], examples: ["example"]}  # where the corpus is one
TABLES = {**SYNTHETIC, **dict.fromkeys((table04, table05, quality, models), _SAMPLED)}  # kinds
