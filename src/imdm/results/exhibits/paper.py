"""Tables 3 and 6 to 14 of the paper, each described by its models, its metrics and what runs down its side."""

from __future__ import annotations

from dataclasses import dataclass, replace

from imdm.params import TEACHER, Params
from imdm.results import plan


@dataclass(frozen=True)
class Model:
    """One model of a table.

    Attributes:
        head: its name there, with the paper's value where this run's differs.
        name: teacher, VARIANT/RECIPE or public/NAME.
        paper: columns of the paper's numbers that are of this model; None where it has none like it.
        against: head of the model that this one is compared with; None for that one itself.
        kind: which samples are meant: samples, conditional or matched.
    """

    head: str
    name: str
    paper: dict[str, str] | None
    against: str | None = None
    kind: str = "samples"


@dataclass(frozen=True)
class Exhibit:
    """A table of the paper.

    Attributes:
        metrics: the paper's table that holds its numbers, by metric. Entropy stands beside Gen-PPL in every table.
        down: what runs down its side, of steps, metric and model; model and metric run across where they are not named.
            Without steps the largest step count of the run is taken.
        note: what the caption says besides.
    """

    number: int
    models: tuple[Model, ...]
    metrics: dict[str, int]
    down: tuple[str, ...] = ("steps",)
    note: str = ""

    @property
    def name(self) -> str:
        return f"table{self.number:02}"


@dataclass(frozen=True)
class Axis:
    """A mask setting that is varied: the paper's values by position, `default` being the place of the one it adopts."""

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
_CHECKPOINTS = "The paper's SDTT is of 7 rounds{}; its MDLM and SDTT are its predecessors' checkpoints."
_NOISE = "Each block varies one setting of the noise and keeps the defaults of the others; paper: uniform, 768, 1.0."
_MATCHED = "At SDTT's entropy: sampled at the temperature, searched for each step count, at which IMDM's entropy is SDTT's."


def describe(params: Params, name: str) -> Exhibit:
    """The description of table03 or one of table06 to table14, for the models that the parameters name."""
    student, sdtt, di4c = params.paper.student, params.paper.sdtt, params.paper.di4c
    variant = student.partition("/")[0]
    noise = tuple(model for axis in _AXES for model in _varied(params, axis))
    checkpoints = _CHECKPOINTS.format(" and its Di4C of 2 after them")

    def methods(kind: str, di4c: str | None = None) -> tuple[Model, ...]:
        setting = "conditional (50-token prompt)" if kind == "conditional" else "unconditional"
        named = {"MDLM": TEACHER, "SDTT": sdtt, "Di4C": di4c, "IMDM": student}
        shown = [(head, model) for head, model in named.items() if model]
        about = [{"method": head, "setting": setting} for head, _ in shown]
        return tuple(Model(*of, paper, None if of[0] == "IMDM" else "IMDM", kind) for of, paper in zip(shown, about, strict=True))

    where = {"method": "IMDM", "setting": "unconditional, entropy-matched (parentheses)"}
    matched = Model("IMDM at SDTT's entropy", student, where, "SDTT", "matched")
    before, after = Model("MDLM", TEACHER, {"method": "MDLM"}), {"method": "MDLM-ft"}
    scratch = Model("IMDM", f"{variant}/scratch", {"method": "IMDM"}, "MDLM")
    tuned = Model("MDLM-ft", "mdlm/finetune", after, "MDLM"), Model("IMDM-ft", f"{variant}/finetune", {"method": "IMDM-ft"}, "MDLM")
    further = f"Both are trained further from the teacher, here {params.finetune.steps:,} steps, in the paper 10,000."
    return {
        "table03": Exhibit(3, noise, {"gen_ppl": 3, "entropy": 8}, ("steps", "metric"), _NOISE),
        "table06": Exhibit(6, methods("samples", di4c), {"gen_ppl": 6, "entropy": 6}, note=checkpoints),
        "table07": Exhibit(7, methods("conditional", di4c), {"gen_ppl": 7, "entropy": 7, "mauve": 7}, note=checkpoints),
        "table08": Exhibit(8, noise, {"entropy": 8}, note=_NOISE),
        "table09": Exhibit(9, (*methods("samples"), matched), {"gen_ppl": 9, "entropy": 9, "temperature": 9}, note=_MATCHED),
        "table10": Exhibit(10, methods("conditional"), {"gen_ppl": 10, "entropy": 10, "mauve": 10}),
        "table11": Exhibit(11, _finite(params), {"gen_ppl": 11, "entropy": 11}, ("steps", "metric")),
        "table12": Exhibit(
            12,
            (before, scratch),
            {"gen_ppl": 12, "entropy": 12, "val_ppl": 12},
            ("model",),
            "The paper does not tell at how many steps it sampled.",
        ),
        "table13": Exhibit(13, (before, *tuned), {"val_ppl": 13}, (), further),
        "table14": Exhibit(14, tuple(_varied(params, _WIDTH)), {"gen_ppl": 14, "entropy": 14}),
    }[name]


def _varied(params: Params, axis: Axis) -> list[Model]:
    """Each variant of paper.KEY, which stands for the paper's value at the same place."""
    models = []
    for place, name in enumerate(plan.ablation(params, getattr(params.paper, axis.key))):
        value = str(getattr(params.mask_settings(name.partition("/")[0]), axis.setting))
        theirs = axis.values[place] if place < len(axis.values) else None
        head = f"{axis.word} {value}".strip().capitalize()
        head += f" (paper {theirs})" if theirs not in (None, value) else ""
        models.append(Model(head, name, {"setting": axis.paper.format(theirs)} if theirs else None))
    default = models[axis.default].head if axis.default < len(models) else None
    return [replace(model, against=default if model.head != default else None) for model in models]


def _finite(params: Params) -> tuple[Model, ...]:
    infinite, *rest = plan.ablation(params, params.paper.finite) or [""]
    models = [Model("Infinite mask", infinite, {"setting": "infinite mask, uniform noise"})]
    for name in rest[:1]:
        count = params.mask_settings(name.partition("/")[0]).finite_masks
        head = f"{count} masks" + (" (paper 6144)" if count != 6144 else "")
        models.append(Model(head, name, {"setting": "6144 discrete masks"}, "Infinite mask"))
    return tuple(models)
