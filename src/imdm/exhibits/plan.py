"""What each table and figure of the paper needs of a run. Read by the Snakefile, so it imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from imdm.errors import UserError
from imdm.params import Params
from imdm.report.names import MAIN

PAGES = ("figure04", *(f"figure{number:02}" for number in range(6, 14)))  # samples to read
TEACHER = "teacher"


@dataclass(frozen=True)
class Needs:
    """What an exhibit shows, as models (`teacher`, VARIANT/RECIPE or public/NAME).

    Attributes:
        scores: unconditional samples, scored.
        conditional: completed prompts, scored.
        matched: samples at the temperature of another model's entropy, scored.
        validation: held-out perplexity.
        samples, completions: the texts themselves.
    """

    scores: tuple[str, ...] = ()
    conditional: tuple[str, ...] = ()
    matched: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()
    completions: tuple[str, ...] = ()

    def files(self) -> list[str]:
        """The files below results/RUN."""
        scored = (("scores", self.scores), ("conditional", self.conditional), ("matched", self.matched))
        found = [scores_file(kind, model) for kind, models in scored for model in models]
        found += [validation_file(model) for model in self.validation]
        found += [f"samples/{model}/samples.safetensors" for model in self.samples]
        return found + [f"conditional/samples/{model}/samples.safetensors" for model in self.completions]


def scores_file(kind: str, model: str) -> str:
    """Where a model's scores lie, below results/RUN; `kind` is scores, conditional or matched."""
    return f"{'' if kind == 'scores' else f'{kind}/'}scores/{model}/scores.json"


def validation_file(model: str) -> str:
    """Where a model's held-out perplexity lies, below results/RUN."""
    return "teacher/validation.json" if model == TEACHER else f"models/{model}/validation.json"


def ablation(params: Params, variants: list[str]) -> tuple[str, ...]:
    """The models of some variants with the recipe of `paper.student`."""
    recipe = params.paper.student.partition("/")[2]
    return tuple(f"{variant}/{recipe}" for variant in variants)


def baselines(params: Params, di4c: bool = True) -> tuple[str, ...]:
    """Teacher, SDTT, Di4C where it is asked for and declared, and the student: the columns of Tables 6, 7, 9 and 10."""
    paper = params.paper
    return (TEACHER, paper.sdtt, *([paper.di4c] if di4c and paper.di4c else []), paper.student)


def needs(params: Params, exhibit: str) -> Needs:
    """What `exhibit` (table03, figure04, ...) needs, but for those of MAIN.

    Raises:
        UserError: it is none, or the parameter that names its models is empty.
    """
    paper = params.paper
    variant, _, _ = paper.student.partition("/")
    large, small = baselines(params, di4c=False), baselines(params)
    ablations = tuple(dict.fromkeys(ablation(params, [*paper.distribution, *paper.dimension, *paper.scale])))
    pages = {"figure04": Needs(completions=(paper.student,))}
    for number, model in zip((6, 8, 10, 12), (TEACHER, paper.sdtt, paper.di4c, paper.student), strict=True):
        pages |= {f"figure{page:02}": Needs(samples=(model,) if model else ()) for page in (number, number + 1)}
    known = pages | {
        "table03": Needs(scores=ablations),
        "table06": Needs(scores=small),
        "table07": Needs(conditional=small),
        "table08": Needs(scores=ablations),
        "table09": Needs(scores=large, matched=(paper.student,)),
        "table10": Needs(conditional=large),
        "table11": Needs(scores=ablation(params, paper.finite)),
        "table12": Needs(scores=(TEACHER, f"{variant}/scratch"), validation=(TEACHER, f"{variant}/scratch")),
        "table13": Needs(validation=(TEACHER, "mdlm/finetune", f"{variant}/finetune")),
        "table14": Needs(scores=ablation(params, paper.width)),
        "figure03": Needs(scores=small, conditional=small),
        "figure05": Needs(scores=large, conditional=large),
    }
    if exhibit not in known:
        raise UserError(f"{exhibit} is no exhibit of the paper that stands alone; known are {', '.join(sorted(known))}.")
    if not known[exhibit].files():
        raise UserError(f"{exhibit} needs models that paper does not name; give paper.{_KEY.get(exhibit, 'di4c')}.")
    return known[exhibit]


_KEY = {
    "table03": "distribution, dimension and scale",
    "table08": "distribution, dimension and scale",
    "table11": "finite",
    "table14": "width",
}


def target(exhibit: str) -> str:
    """The file that stands for an exhibit, below results/RUN."""
    if exhibit.startswith("table"):
        return f"tables/{exhibit}.csv"
    return f"figures/{exhibit}.{'html' if exhibit in PAGES else 'png'}"


def paper_models(params: Params) -> list[str]:
    """Every model that an exhibit of `paper.exhibits` needs, but the teacher."""
    found: dict[str, None] = {}
    for exhibit in params.paper.exhibits:
        if exhibit not in MAIN:
            needed = needs(params, exhibit)
            for models in (needed.scores, needed.conditional, needed.matched, needed.validation, needed.samples, needed.completions):
                found |= dict.fromkeys(models)
    found.pop(TEACHER, None)
    return list(found)
