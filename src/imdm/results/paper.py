"""The paper's own numbers, to stand beside ours, and its Tables 3 and 6 to 14: models, metrics and what runs down their sides.

`paper_tables.csv` holds every number of the tables of Yoo, Kim, Lee and Hong, "Infinite Mask Diffusion for Few-Step
Distillation", arXiv 2605.10518v1 (CC BY 4.0). They are of LM1B and OpenWebText at 170M and 860M parameters, judged by
GPT-2 Large: the levels of a smaller run can't be compared with them, ratios between models can.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from imdm.params import PUBLIC, TEACHER, Params, parse_recipe

if TYPE_CHECKING:
    import pandas as pd

_ABOUT = ["table", "dataset", "model_size", "method", "variant", "setting", "metric"]
_VARIANTS = {"mdlm": "MDLM", "imdm": "IMDM", "imdm-fresh": "IMDM"}
_METHODS = {(True, False): "SDTT", (False, True): "ReDi", (True, True): "SDTT+ReDi"}  # by SDTT, ReDi
_SCORED = {"gen_ppl", "entropy", "mauve", "temperature"}


@functools.cache
def paper_numbers() -> pd.DataFrame:
    """Every number of the paper's tables: table, dataset, model_size, method, variant, setting, metric, steps (or NA), value."""
    import pandas as pd  # not for the Snakefile, which reads the tables' models here

    wide = pd.read_csv(Path(__file__).with_name("paper_tables.csv"), comment="#", keep_default_na=False, na_values=[""])
    long = wide.melt(id_vars=_ABOUT, var_name="steps").dropna(subset="value")
    return long.assign(steps=pd.to_numeric(long["steps"], errors="coerce").astype("Int64")).reset_index(drop=True)


def paper_value(table: int, metric: str, steps: int | None = None, **where: str) -> float | None:
    """A number of the paper, None where it has none like it, or more than one.

    Args:
        metric: gen_ppl, entropy (nats), mauve, val_ppl, validity_pct, token_entropy_nats, factorization_error_nats, P(tokenI=0)_pct.
        steps: sampling steps; None for a table that has none, or but one count.
        where: values of the columns method, variant and setting, as many as it takes.
    """
    numbers = paper_numbers()
    fits = (numbers["table"] == table) & (numbers["metric"] == metric)
    for column, value in where.items():
        fits &= numbers[column] == value
    if steps is not None:
        fits &= numbers["steps"].eq(steps).fillna(False).astype(bool)
    values = numbers.loc[fits, "value"]
    return float(values.iloc[0]) if len(values) == 1 else None


def paper_steps(table: int) -> list[int]:
    """The step counts of a table, ascending; none where it does not tell them."""
    numbers = paper_numbers()
    return sorted(map(int, numbers.loc[numbers["table"] == table, "steps"].dropna().unique()))


def paper_of(model: str) -> dict[str, str] | None:
    """method and variant of a model in Tables 4 and 5, None where the paper has none like it; it ran 7 rounds of SDTT."""
    variant, _, name = model.partition("/")
    recipe = parse_recipe(name)
    if variant not in _VARIANTS or recipe is None or recipe.di4c or recipe.keyed or not (recipe.rounds or recipe.redi):
        return None
    return {"variant": _VARIANTS[variant], "method": _METHODS[recipe.rounds > 0, recipe.redi]}


def paper_note(table: int) -> str:
    """What the numbers of a table of the paper are of, and what they can be compared with."""
    first = paper_numbers()[paper_numbers()["table"] == table].iloc[0]
    size = next(iter(re.findall(r"\d+M", first["model_size"])), "170M")  # what it calls small
    return (
        f"The paper's numbers (arXiv 2605.10518) are for {first['dataset']} at {size} parameters, judged by GPT-2 Large: levels are "
        "comparable only with a run of the same corpus, size and judge, ratios between models always."
    )


@dataclass(frozen=True)
class Model:
    """One model of a table.

    Attributes:
        head: its name there, with the paper's value where this run's differs.
        name: teacher, VARIANT/RECIPE or public/NAME.
        paper: columns of the paper's numbers that are of this model; None where it has none like it.
        against: head of the model that this one is compared with; None for that one itself.
        kind: which samples are meant: samples, conditional, matched, or atN for those at N steps alone.
    """

    head: str
    name: str
    paper: dict[str, str] | None
    against: str | None = None
    kind: str = "samples"

    @property
    def scores(self) -> str:
        """Where its scores lie, below results/RUN."""
        return scores_of(self.name, self.kind)


def scores_of(model: str, kind: str = "samples") -> str:
    """Where the scores of a model's samples lie, below results/RUN; `kind` is samples, dilated, conditional, matched or atN."""
    return f"{'' if kind == 'samples' else f'{kind}/'}scores/{model}/scores.json"


@dataclass(frozen=True)
class Exhibit:
    """A table of the paper.

    Attributes:
        metrics: the paper's table that holds its numbers, by metric. Entropy stands beside Gen-PPL in every table.
        down: columns of the frame that run down its side, of steps, metric and setting (the model's head); the last two run across
            where they are not named. Without steps the largest step count of the run is taken.
        note: what the caption says besides.
    """

    number: int
    models: tuple[Model, ...]
    metrics: dict[str, int]
    down: tuple[str, ...] = ("steps",)
    note: str = ""

    @property
    def files(self) -> list[str]:
        """What it is made from, below results/RUN."""
        scored = [model.scores for model in self.models if _SCORED & set(self.metrics)]
        return scored + [f"models/{model.name}/validation.json" for model in self.models if "val_ppl" in self.metrics]


class Axis(NamedTuple):
    """A mask setting that is varied: the paper's values by position, `default` being the place of the one that it keeps elsewhere."""

    key: str
    word: str
    setting: str
    values: tuple[str, ...]
    default: int
    paper: str


_AXES = (
    Axis("distribution", "", "noise_dist", ("uniform", "gaussian"), 0, "axis=distribution; noise={}, d_noise=768, scale=1.0"),
    Axis("dimension", "Dimension", "noise_dim", ("256", "768", "1536"), 1, "axis=dimension; noise=uniform, d_noise={}, scale=1.0"),
    Axis("scale", "Scale", "noise_scale", ("0.5", "1.0", "2.0"), 1, "axis=scale; noise=uniform, d_noise=768, scale={}"),
)
_WIDTH = Axis("width", "Dimension", "noise_dim", ("768", "2048"), 1, "d_noise={}")
_ROUNDS = "The paper's SDTT is of 7 rounds, its Di4C of 2 after them; its MDLM and SDTT are its predecessors' checkpoints."
_NOISE = "Each block varies one setting of the noise and keeps the defaults of the others; paper: uniform, 768, 1.0."
_MATCHED = "At SDTT's entropy: sampled at the temperature, searched for each step count, at which IMDM's entropy is SDTT's."


def describe(params: Params, name: str) -> Exhibit:
    """The description of table03 or one of table06 to table14, for the models that the parameters name."""
    student, number = params.paper.student, int(name.removeprefix("table"))
    absent = no_di4c(params)
    rounds = f"{_ROUNDS} Di4C is left out: {absent}." if absent else _ROUNDS
    variant, ppl = student.partition("/")[0], {"gen_ppl": number, "entropy": number}
    noise = tuple(model for axis in _AXES for model in _varied(params, axis))
    small, large, before = _methods(params), _methods(params, di4c=False), Model("MDLM", TEACHER, {"method": "MDLM"})
    where = {"method": "IMDM", "setting": "unconditional, entropy-matched (parentheses)"}
    matched = Model("IMDM at SDTT's entropy", student, where, "SDTT", "matched")
    at = f"at{params.paper.scratch_steps}"
    scratch = (replace(before, kind=at), Model("IMDM", f"{variant}/scratch", {"method": "IMDM"}, "MDLM", at))
    heads = {"MDLM-ft": "mdlm/finetune", "IMDM-ft": f"{variant}/finetune"}
    tuned = tuple(Model(head, model, {"method": head}, "MDLM") for head, model in heads.items())
    further = f"Both are trained further from the teacher, here {params.finetune.steps:,} steps, in the paper 10,000."
    return {
        3: Exhibit(3, noise, {"gen_ppl": 3, "entropy": 8}, ("steps", "metric"), _NOISE),
        6: Exhibit(6, small, ppl, note=rounds),
        7: Exhibit(7, _methods(params, "conditional"), ppl | {"mauve": 7}, note=rounds),
        8: Exhibit(8, noise, {"entropy": 8}, note=_NOISE),
        9: Exhibit(9, (*large, matched), ppl | {"temperature": 9}, note=_MATCHED),
        10: Exhibit(10, _methods(params, "conditional", di4c=False), ppl | {"mauve": 10}),
        11: Exhibit(11, _finite(params), ppl, ("steps", "metric")),
        12: Exhibit(12, scratch, ppl | {"val_ppl": 12}, ("setting",), "The paper does not tell its sampling steps."),
        13: Exhibit(13, (before, *tuned), {"val_ppl": 13}, (), further),
        14: Exhibit(14, tuple(_varied(params, _WIDTH)), ppl),
    }[number]


def methods(params: Params) -> dict[str, str | None]:
    """The models that stand for the methods of the paper's Tables 6, 7, 9 and 10 and of its samples."""
    di4c = None if no_di4c(params) else params.paper.di4c
    return {"MDLM": TEACHER, "SDTT": params.paper.sdtt, "Di4C": di4c, "IMDM": params.paper.student}


def no_di4c(params: Params) -> str:
    """Why the Di4C that paper.di4c names can't be had: its file is not there, nor was it loaded before; empty where it can."""
    variant, _, name = (params.paper.di4c or "").partition("/")
    checkpoint = params.public[name] if variant == PUBLIC else None
    if checkpoint is None or not checkpoint.missing or Path(f"results/{params.run}/models/{PUBLIC}/{name}/model.safetensors").exists():
        return ""
    return f"{checkpoint.checkpoint} (public.{name}.checkpoint) does not exist"


def _methods(params: Params, kind: str = "samples", di4c: bool = True) -> tuple[Model, ...]:
    """The teacher, the baselines and the student, each beside the paper's."""
    setting = "conditional (50-token prompt)" if kind == "conditional" else "unconditional"
    models = [(head, name) for head, name in methods(params).items() if name and (di4c or head != "Di4C")]
    return tuple(Model(head, name, {"method": head, "setting": setting}, None if head == "IMDM" else "IMDM", kind) for head, name in models)


def _students(params: Params, variants: list[str]) -> list[str]:
    """The models of some variants with the recipe of `paper.student`."""
    return [f"{variant}/{params.paper.student.partition('/')[2]}" for variant in variants]


def _varied(params: Params, axis: Axis) -> list[Model]:
    """Each variant of paper.KEY, which stands for the paper's value at the same place."""
    models: list[Model] = []
    for place, name in enumerate(_students(params, getattr(params.paper, axis.key))):
        value = str(getattr(params.mask_settings(name.partition("/")[0]), axis.setting))
        theirs = axis.values[place] if place < len(axis.values) else None
        head = f"{axis.word} {value}".strip().capitalize()
        head += f" (paper {theirs})" if theirs not in (None, value) else ""
        models.append(Model(head, name, {"setting": axis.paper.format(theirs)} if theirs else None))
    default = models[axis.default].head if axis.default < len(models) else None
    return [replace(model, against=default if model.head != default else None) for model in models]


def _finite(params: Params) -> tuple[Model, ...]:
    models: list[Model] = []
    for name in _students(params, params.paper.finite)[:2]:
        count = params.mask_settings(name.partition("/")[0]).finite_masks
        head = f"{count} masks" + (" (paper 6144)" if count != 6144 else "")
        first = Model("Infinite mask", name, {"setting": "infinite mask, uniform noise"})
        models.append(Model(head, name, {"setting": "6144 discrete masks"}, first.head) if models else first)
    return tuple(models)
