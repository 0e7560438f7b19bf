"""Tables 3 and 6 to 14 of the paper, each described by its columns, its metrics and what runs down its side."""

from __future__ import annotations

from dataclasses import dataclass, replace

from imdm.exhibits.plan import TEACHER, ablation
from imdm.params import Params


@dataclass(frozen=True)
class Column:
    """One model of a table.

    Attributes:
        head: its name there, with the paper's value where this run's differs.
        model: teacher, VARIANT/RECIPE or public/NAME.
        paper: columns of the paper's rows that are of this model; None where it has none like it.
        against: head of the column that this one is compared with; None for that column itself.
        kind: which samples are meant: scores, conditional or matched.
    """

    head: str
    model: str
    paper: dict[str, str] | None
    against: str | None = None
    kind: str = "scores"


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        metrics: the paper's table that holds its numbers, by metric. Entropy stands beside Gen-PPL in every table.
        lines: what runs down its side, of steps, metric and model; model and metric run across where they are not named.
            Without steps the largest step count of the run is taken.
        note: what the caption says besides.
    """

    number: int
    title: str
    columns: tuple[Column, ...]
    metrics: dict[str, int]
    lines: tuple[str, ...] = ("steps",)
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


_DISTRIBUTION = Axis("distribution", "", "noise_dist", ("uniform", "gaussian"), 0, "axis=distribution; noise={}, d_noise=768, scale=1.0")
_DIMENSION = Axis("dimension", "Dimension", "noise_dim", ("256", "768", "1536"), 1, "axis=dimension; noise=uniform, d_noise={}, scale=1.0")
_SCALE = Axis("scale", "Scale", "noise_scale", ("0.5", "1.0", "2.0"), 1, "axis=scale; noise=uniform, d_noise=768, scale={}")
_WIDTH = Axis("width", "Dimension", "noise_dim", ("768", "2048"), 1, "d_noise={}")
_CHECKPOINTS = "The paper's SDTT is of 7 rounds{}; its MDLM and SDTT are its predecessors' checkpoints."
_NOISE = "Each block varies one setting of the noise and keeps the defaults of the others; paper: uniform, 768, 1.0."


def _varied(params: Params, axis: Axis) -> list[Column]:
    """A column for each variant of paper.KEY, which stands for the paper's value at the same place."""
    columns = []
    for place, model in enumerate(ablation(params, getattr(params.paper, axis.key))):
        value = str(getattr(params.mask_settings(model.partition("/")[0]), axis.setting))
        theirs = axis.values[place] if place < len(axis.values) else None
        head = f"{axis.word} {value}".strip().capitalize()
        head += f" (paper {theirs})" if theirs not in (None, value) else ""
        columns.append(Column(head, model, {"setting": axis.paper.format(theirs)} if theirs else None))
    default = columns[axis.default].head if axis.default < len(columns) else None
    return [replace(column, against=default if column.head != default else None) for column in columns]


def _noise(params: Params) -> tuple[Column, ...]:
    return tuple(column for axis in (_DISTRIBUTION, _DIMENSION, _SCALE) for column in _varied(params, axis))


def _finite(params: Params) -> tuple[Column, ...]:
    named = zip(("infinite mask, uniform noise", "6144 discrete masks"), ablation(params, params.paper.finite), strict=False)
    (theirs, infinite), *rest = named
    columns = [Column("Infinite mask", infinite, {"setting": theirs})]
    for theirs, model in rest:
        count = params.mask_settings(model.partition("/")[0]).finite_masks
        head = f"{count} masks" + (" (paper 6144)" if count != 6144 else "")
        columns.append(Column(head, model, {"setting": theirs}, "Infinite mask"))
    return tuple(columns)


def _methods(params: Params, di4c: bool, kind: str = "scores") -> tuple[Column, ...]:
    """The teacher, the baselines and the student."""
    paper = params.paper
    models = {"MDLM": TEACHER, "SDTT": paper.sdtt, "Di4C": paper.di4c if di4c else None, "IMDM": paper.student}
    setting = "conditional (50-token prompt)" if kind == "conditional" else "unconditional"
    return tuple(
        Column(head, model, {"method": head, "setting": setting}, None if head == "IMDM" else "IMDM", kind)
        for head, model in models.items()
        if model
    )


def _matched(params: Params) -> Column:
    setting = {"method": "IMDM", "setting": "unconditional, entropy-matched (parentheses)"}
    return Column("IMDM at SDTT's entropy", params.paper.student, setting, "SDTT", "matched")


def describe(params: Params, name: str) -> Table:
    """The description of table03 or one of table06 to table14, for the models that the parameters name."""
    scratch, finetuned = (f"{params.paper.student.partition('/')[0]}/{recipe}" for recipe in ("scratch", "finetune"))
    make = {
        "table03": lambda: Table(3, "Noise design: Gen-PPL", _noise(params), {"gen_ppl": 3, "entropy": 8}, ("steps", "metric"), _NOISE),
        "table06": lambda: Table(
            6,
            "Unconditional generation",
            _methods(params, di4c=True),
            {"gen_ppl": 6, "entropy": 6},
            note=_CHECKPOINTS.format(" and its Di4C of 2 after them"),
        ),
        "table07": lambda: Table(
            7,
            "Conditional generation",
            _methods(params, di4c=True, kind="conditional"),
            {"gen_ppl": 7, "entropy": 7, "mauve": 7},
            note=_CHECKPOINTS.format(" and its Di4C of 2 after them"),
        ),
        "table08": lambda: Table(8, "Noise design: entropy", _noise(params), {"entropy": 8}, note=_NOISE),
        "table09": lambda: Table(
            9,
            "Unconditional generation, large models",
            (*_methods(params, di4c=False), _matched(params)),
            {"gen_ppl": 9, "entropy": 9, "temperature": 9},
            note="At SDTT's entropy: sampled at the temperature, searched for each step count, at which IMDM's entropy is SDTT's.",
        ),
        "table10": lambda: Table(
            10,
            "Conditional generation, large models",
            _methods(params, di4c=False, kind="conditional"),
            {"gen_ppl": 10, "entropy": 10, "mauve": 10},
        ),
        "table11": lambda: Table(11, "Infinite against finite mask", _finite(params), {"gen_ppl": 11, "entropy": 11}, ("steps", "metric")),
        "table12": lambda: Table(
            12,
            "From scratch, no distillation",
            (Column("MDLM", TEACHER, {"method": "MDLM"}), Column("IMDM", scratch, {"method": "IMDM"}, "MDLM")),
            {"gen_ppl": 12, "entropy": 12, "val_ppl": 12},
            ("model",),
            "The paper does not tell at how many steps it sampled.",
        ),
        "table13": lambda: Table(
            13,
            "Val PPL after fine-tuning",
            (
                Column("MDLM", TEACHER, {"method": "MDLM"}),
                Column("MDLM-ft", "mdlm/finetune", {"method": "MDLM-ft"}, "MDLM"),
                Column("IMDM-ft", finetuned, {"method": "IMDM-ft"}, "MDLM"),
            ),
            {"val_ppl": 13},
            (),
            f"Both are trained further from the teacher, here {params.finetune.steps:,} steps, in the paper 10,000.",
        ),
        "table14": lambda: Table(14, "Noise dimension", tuple(_varied(params, _WIDTH)), {"gen_ppl": 14, "entropy": 14}),
    }
    return make[name]()


def plain(table: Table) -> Table:
    """A table without its entropy-matched columns, as the figures show it."""
    return replace(table, columns=tuple(column for column in table.columns if column.kind != "matched"))
