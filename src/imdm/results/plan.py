"""Which files of a run each table, figure and page is made from. Read by the Snakefile, so it imports nothing heavy.

All paths are relative to results/RUN. A table, figure or page is named by its output: tables/table06.csv, figures/figure03.png.
"""

from __future__ import annotations

import itertools
from pathlib import PurePosixPath

from imdm.errors import UserError
from imdm.params import EXTERNAL, TEACHER, Params, parse_recipe, trained
from imdm.params.names import ORACLE
from imdm.results.paper import describe, methods, no_di4c, scores_of

MAIN_TABLES = ("table01", "table02", "table04", "table05", "quality", "models")  # of stage tabulate
CONTROLS = "controls/controls.json"
DILATED = "dilated"  # the samples of a model, and their scores, with the positions of a step far apart
BY_STEPS = "gen_ppl.csv"  # beside them
MAIN_FIGURES = ("figure02", "training")  # of stage plot
FRONTIER = ("tables/frontier.csv", "figures/frontier.png")  # of the comparison, but not of the paper
LANGUAGE_TABLES = ("language", "examples")  # of stage tabulate, where the corpus is a language
EXTRA_TABLES = ("copies", "pairs", "factorization", "unmasking")
EXTRA_FIGURES = ("factorization",)
# Of stage exhibit, as the next two.
TABLES = ("table03", *(f"table{number:02}" for number in range(6, 15)), "frontier", "scoreboard", *EXTRA_TABLES)
FIGURES = ("figure03", "figure05", "frontier", *EXTRA_FIGURES)
# Samples to read: the method and the step count of each page in the paper.
PAGES = {"figure04": ("IMDM", 8)}
PAGES |= {f"figure{n:02}": page for n, page in enumerate(itertools.product(("MDLM", "SDTT", "Di4C", "IMDM"), (4, 8)), 6)}

_TITLES = {
    "table01": "Synthetic task",
    "table02": "Synthetic task, the noise held",
    "table03": "Noise design: Gen-PPL",
    "table04": "Gen-PPL",
    "table05": "Entropy",
    "table06": "Unconditional generation",
    "table07": "Conditional generation",
    "table08": "Noise design: entropy",
    "table09": "Unconditional generation, large models",
    "table10": "Conditional generation, large models",
    "table11": "Infinite against finite mask",
    "table12": "From scratch, no distillation",
    "table13": "Val PPL after fine-tuning",
    "table14": "Noise dimension",
    "figure02": "Gen-PPL against steps",
    "figure03": "Quality over sampling steps",
    "figure05": "Quality over sampling steps, large models",
    "frontier": "Gen-PPL at equal entropy",
    "quality": "Every metric, beside controls",
    "scoreboard": "Other systems, beside real text and controls",
    "models": "Judge and teacher",
    "training": "Training losses",
    "copies": "What samples share with couplings and training text",
    "pairs": "What models know of seen and unseen pairs",
    "factorization": "Factorization error on text",
    "unmasking": "Positions of a step far apart",
    "language": "Valid texts of the language",
    "examples": "Texts, with what is broken in brackets",
}


def title(name: str) -> str:
    """What a table or figure shows, in a few words."""
    return _TITLES.get(name, "Samples, to be read")


def heading(name: str) -> str:
    """The title, after the paper's number where it has one: `Table 4. Gen-PPL`."""
    word, number = name[:-2].capitalize(), name[-2:]
    return f"{word} {int(number)}. {title(name)}" if number.isdigit() else title(name)


def models(params: Params) -> list[str]:
    """Every model of the comparison, the teacher first, and behind it the oracle of a language."""
    return [TEACHER, *[ORACLE] * (params.corpus.name == "language"), *map("/".join, params.models())]


def scored(params: Params) -> list[str]:
    """`models`, and the other systems of which there are samples alone."""
    return [*models(params), *external(params)]


def external(params: Params) -> list[str]:
    """The other systems."""
    return [f"{EXTERNAL}/{name}" for name in params.external]


def factorized(params: Params) -> list[str]:
    """Those of `models` whose step has a factorization error: given its noise, a keyed student's text has no density."""
    return [model for model in models(params) if not ((recipe := parse_recipe(model.partition("/")[2])) and recipe.keyed)]


def main_tables(params: Params) -> tuple[str, ...]:
    """What stage tabulate writes besides tables.csv."""
    return (*LANGUAGE_TABLES, *MAIN_TABLES) if params.corpus.name == "language" else MAIN_TABLES


def _scores(*folders: str) -> list[str]:
    return [f"{folder}/{file}" for folder in folders for file in ("scores.json", "per_sample.parquet")]


def main_files(params: Params) -> list[str]:
    """What stage tabulate reads."""
    files = _scores(f"{DILATED}/scores/{TEACHER}", *(f"scores/{model}" for model in scored(params)))
    files += ["judge/judge.json", "reference/reference.json", CONTROLS]
    return [*files, f"models/{TEACHER}/validation.json", "synthetic/synthetic.json"]


def training_logs(params: Params) -> list[str]:
    """What stage plot reads besides tables.csv: the logs of the judge, the teacher and every training behind the comparison."""
    students = sorted({model for name in models(params) for model in trained(name)})
    return ["judge/train_log.csv", *(f"models/{model}/train_log.csv" for model in (TEACHER, *students))]


def files(params: Params, output: str) -> list[str]:
    """What stage exhibit reads for one of its outputs: a figure the tables that have its numbers.

    Raises:
        UserError: there is no such output, or the parameter that names its models is empty.
    """
    name = PurePosixPath(output).stem
    if output.startswith("figures/") and name in FIGURES:
        return [f"tables/{table}.csv" for table in _DRAWN_FROM.get(name, (name,))]
    if name in PAGES:
        model, folder = methods(params)[PAGES[name][0]], "conditional/samples" if name == "figure04" else "samples"
        needed = [f"{folder}/{model}/samples.safetensors"] if model else []
    elif name == "scoreboard":
        needed = [*(scores_of(model) for model in external(params)), "judge/judge.json", "reference/reference.json", CONTROLS]
    elif name in ("copies", "pairs"):
        needed = [f"audit/{model}/audit.json" for model in models(params)]
    elif name == "frontier":
        needed = [f"frontier/{model}/{file}" for model in models(params) for file in ("frontier.json", "per_sample.parquet")]
        needed += ["reference/reference.json", "reference/reference.safetensors", scores_of(TEACHER), "tables/tables.csv"]
    elif name == "unmasking":
        needed = _scores(*(f"{kind}scores/{model}" for model in models(params) for kind in ("", f"{DILATED}/")))
    elif name == "factorization":
        folders = [f"factorization/{model}" for model in factorized(params)]
        needed = [f"{folder}/{file}" for folder in folders for file in ("factorization.json", "per_sequence.parquet")]
        needed += ["judge/judge.json", "tables/tables.csv"]  # whose Gen-PPL is lower stands beside the errors
    elif name in TABLES:
        needed = list(dict.fromkeys(describe(params, name).files))
    else:
        raise UserError(f"--out {output} is no table or figure that stands alone; known are {', '.join((*TABLES, *FIGURES, *PAGES))}.")
    if not needed and (reason := no_di4c(params)):
        raise UserError(f"{name} can't be made: {reason}; download it to that path.")
    if not needed:
        raise UserError(f"{name} needs models that paper does not name; give paper.{_KEYS.get(name, 'di4c')}.")
    return needed


_DRAWN_FROM = {"figure03": ("table06", "table07"), "figure05": ("table09", "table10"), "frontier": ("tables", "frontier")}
_KEYS = {"table11": "finite", "table14": "width"} | dict.fromkeys(("table03", "table08"), "distribution, dimension and scale")


def output(name: str) -> str:
    """The file that stands for a table, figure or page of samples of the paper."""
    if name.startswith("table"):
        return f"tables/{name}.csv"
    return f"figures/{name}.{'html' if name in PAGES else 'png'}"


def exhibits(params: Params, page: str) -> list[str]:
    """The outputs that a page waits for besides the main tables and figures.

    Args:
        page: report, extras or paper.
    """
    if page == "report":
        return [*FRONTIER]
    if page == "extras":
        return [*FRONTIER, *(f"tables/{name}.csv" for name in EXTRA_TABLES), *(f"figures/{name}.png" for name in EXTRA_FIGURES)]
    if page == "paper":
        return [output(name) for name in params.paper.exhibits if name not in (*MAIN_TABLES, *MAIN_FIGURES, *left_out(params))]
    return []


def left_out(params: Params) -> list[str]:
    """The exhibits of the paper that `no_di4c` leaves out: the pages of its samples."""
    return [name for name in params.paper.exhibits if name in PAGES and PAGES[name][0] == "Di4C" and no_di4c(params)]
