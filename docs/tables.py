"""Write the tables of docs/results.md again from the runs in results/reference: `python docs/tables.py`, part of `make docs`.

A table stands between `<!-- table: NAME -->` and `<!-- end of NAME -->`; TABLES declares it. A number is of one run, with the run's own
interval, or the mean of several pipelines with Student's 95% interval over them: geometric of ratios, arithmetic of all else.
"""

from __future__ import annotations

import functools
import math
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src")]

from imdm.results.frame import RATIO, one, read_frame  # noqa: E402
from imdm.results.runs import mean_ratio, student  # noqa: E402
from imdm.results.table import digits  # noqa: E402
from imdm.results.view import NONE  # noqa: E402

PAGE = ROOT / "docs/results.md"
KEYED = "imdm-gumbel/keyed"
ERROR = "error_m16_nats_per_token"  # a mean over 16 draws of the noise
Frames = list[pd.DataFrame]
Column = int | str | tuple[str, int]  # a step count, a metric, or both
Write = Callable[[Frames, Column], str]  # what fills a cell, of some runs


class Line(NamedTuple):
    """A line of a table: what it is called, the runs that it is of, and what fills its cells."""

    label: str
    runs: Sequence[str]
    write: Write


@functools.cache
def numbers_of(run: str) -> pd.DataFrame:
    """Every number of a committed run, or of one of its tables (RUN/TABLE), once."""
    name, _, only = run.partition("/")
    paths = sorted((ROOT / "results" / "reference" / name / "tables").glob(f"{only or '*'}.csv"))
    frame = pd.concat([read_frame(path) for path in paths], ignore_index=True)
    return frame.drop_duplicates(["kind", "model", "against", "target", "couplings", "setting", "seed", "steps", "temperature", "metric"])


def shown(mean: float, low: float | None, high: float | None, metric: str) -> str:
    """A number with its interval, of which an end may be out of reach; a ratio is bold where the interval leaves out 1."""
    ends = [math.nan if end is None else end for end in (low, high)]
    text = digits(mean, metric)
    if not all(map(math.isnan, ends)) and ends[0] != ends[1]:
        text += f" [{', '.join(NONE if math.isnan(end) else digits(end, metric) for end in ends)}]"
    return f"**{text}**" if metric == RATIO and (ends[0] > 1 or ends[1] < 1) else text


def value(model: str, metric: str = "gen_ppl", kind: str = "samples") -> Write:
    """A metric of a model at some steps, the mean of several runs; the column may name both. 0 is written without digits."""

    def write(frames: Frames, column: Column) -> str:
        name, steps = column if isinstance(column, tuple) else (metric, column)
        mean = student([one(frame, kind=kind, model=model, steps=steps, metric=name).value for frame in frames])[0]
        return digits(mean, name) if mean else "0"

    return write


def of_pairs(model: str, couplings: str = "teacher") -> Write:
    """What a model knows of pairs: the column is the metric."""

    def write(frames: Frames, metric: Column) -> str:
        found = [one(frame, kind="pairs", model=model, couplings=couplings, metric=metric) for frame in frames]
        return NONE if None in found else shown(*student([number.value for number in found]), str(metric))

    return write


def ratio(ours: str, base: str, kind: str = "samples", base_kind: str = "") -> Write:
    """Gen-PPL of a model over another's; of one run with its paired interval, where the run has that."""

    def write(frames: Frames, steps: Column) -> str:
        places = ((kind, ours), (base_kind or kind, base))
        of_run = [[one(f, kind=k, model=m, steps=steps, metric="gen_ppl").value for k, m in places] for f in frames]
        quotients = [above / below for above, below in of_run]
        if set(quotients) == {1.0}:
            return "1"
        paired = one(frames[0], kind=kind, model=ours, against=base, steps=steps, metric=RATIO)
        return shown(*(mean_ratio(quotients) if len(frames) > 1 or paired is None else (paired.value, paired.low, paired.high)), RATIO)

    return write


def over_text(model: str) -> Write:
    """Gen-PPL of a model over real text's, the corpus's test split under the same judge."""

    def write(frames: Frames, steps: Column) -> str:
        real = [one(frame, kind="reference", model="test text", metric="gen_ppl").value for frame in frames]
        values = [one(frame, kind="samples", model=model, steps=steps, metric="gen_ppl").value for frame in frames]
        quotients = [above / below for above, below in zip(values, real, strict=True)]
        return shown(*(mean_ratio(quotients) if len(frames) > 1 else (quotients[0], None, None)), "gen_ppl")

    return write


def at_entropy(ours: str, target: str = "teacher") -> Write:
    """The ratio of a model over its baseline at an entropy; where some runs don't reach it, the range of the others."""

    def write(frames: Frames, steps: Column) -> str:
        found = [one(f, kind="equal_entropy", model=ours, target=target, steps=steps, metric=RATIO) for f in frames]
        known = [number for number in found if number is not None and number.value is not None]
        values = [number.value for number in known]
        if len(known) < len(found):
            return f"{NONE} ({' to '.join(dict.fromkeys(f'{end:.2f}' for end in (min(values), max(values))))})" if known else NONE
        return shown(*(mean_ratio(values) if len(known) > 1 else (values[0], known[0].low, known[0].high)), RATIO)

    return write


DOCUMENTATION = ("tiny", "seed1", "seed2", "seed3", "seed4")
CAPTIONS = ("captions", "captions1", "captions2")
SENTENCES = ("sentences", "sentences1", "sentences2")
STORIES = ("stories", "stories1", "stories2")
FEW = (1, 2, 4, 8, 16)
EQUAL, REAL = "at the teacher's entropy", "at real text's entropy"
STUDENTS = [("MDLM, SDTT", "mdlm/sdtt3"), ("IMDM, SDTT", "imdm/sdtt3"), ("MDLM, ReDi", "mdlm/redi"), ("IMDM, ReDi", "imdm/redi")]
BOTH = [("MDLM, SDTT + ReDi", "mdlm/sdtt3-redi"), ("IMDM, SDTT + ReDi", "imdm/sdtt3-redi")]
NOISES = [("1,408 masks", "multimask"), ("Gaussian noise", "imdm-gaussian"), ("512 dimensions", "imdm-d512"), ("scale 2", "imdm-s2")]
PAIRS: dict[Column, str] = {"nll_seen_own": "seen, own noise", "nll_seen_fresh": "seen, fresh noise"}
PAIRS |= {"nll_unseen_own": "unseen, own noise", "nll_unseen_fresh": "unseen, fresh noise"}
PAIRS |= {"noise_gap_unseen": "what its noise tells of unseen"}


def lines(runs: Sequence[str], *named: tuple[str, Write]) -> list[Line]:
    """Lines of the same runs."""
    return [Line(label, runs, write) for label, write in named]


def orders(runs: Sequence[str], label: str, model: str) -> list[Line]:
    """A model's samples, and those with the positions of a step far apart, where these are others."""
    both = lines(runs, (label, value(model)), (f"{label}, dilated", value(model, kind="dilated")))
    return both if model != KEYED else both[:1]


def of_every_model(runs: Sequence[str]) -> list[Line]:
    """The teacher, and every student on captions of whole words, in both orders."""
    return [line for label, model in [("teacher", "teacher"), *STUDENTS, *BOTH, ("keyed", KEYED)] for line in orders(runs, label, model)]


def against_mdlm(label: str, variant: str) -> list[Line]:
    """A variant's student after SDTT and ReDi over MDLM's, as sampled and at both entropies."""
    model = f"{variant}/sdtt3-redi"
    as_sampled = (f"{label} / MDLM", ratio(model, "mdlm/sdtt3-redi"))
    return lines(DOCUMENTATION, as_sampled, (EQUAL, at_entropy(model)), (REAL, at_entropy(model, "data")))


def both(label: str, recipe: str) -> list[Line]:
    """IMDM's student over MDLM's on captions of whole words, as sampled and dilated."""
    ours, base = f"imdm/{recipe}", f"mdlm/{recipe}"
    return lines(SENTENCES, (f"IMDM / MDLM, {label}", ratio(ours, base)), ("both dilated", ratio(ours, base, "dilated")))


def columns(metric: str, label: str, steps: Sequence[int]) -> dict[Column, str]:
    """The columns of a metric, the first with its name, all with their steps."""
    return {(metric, n): f"{label}{n}{' step' * (n == 1)}" if n == steps[0] else str(n) for n in steps}


COMPARED = columns("gen_ppl", "", (*FEW, 24)) | columns("entropy", "entropy, ", (1, 4)) | columns("mauve", "MAUVE, ", (1, 4))

TABLES: dict[str, tuple[Sequence[int] | dict[Column, str], list[Line]]] = {
    "documentation": (
        FEW,
        lines(
            DOCUMENTATION,
            ("IMDM / MDLM, SDTT", ratio("imdm/sdtt3", "mdlm/sdtt3")),
            (EQUAL, at_entropy("imdm/sdtt3")),
            ("IMDM / MDLM, ReDi", ratio("imdm/redi", "mdlm/redi")),
            (EQUAL, at_entropy("imdm/redi")),
            (REAL, at_entropy("imdm/redi", "data")),
            ("both dilated", ratio("imdm/redi", "mdlm/redi", "dilated")),
            ("IMDM / MDLM, SDTT + ReDi", ratio("imdm/sdtt3-redi", "mdlm/sdtt3-redi")),
            (EQUAL, at_entropy("imdm/sdtt3-redi")),
            ("teacher, dilated / teacher", ratio("teacher", "teacher", "dilated", "samples")),
            ("MDLM, ReDi / teacher, both dilated", ratio("mdlm/redi", "teacher", "dilated")),
            ("keyed / teacher", ratio(KEYED, "teacher")),
            (EQUAL, at_entropy(KEYED)),
            (REAL, at_entropy(KEYED, "data")),
            ("both dilated", ratio(KEYED, "teacher", "dilated")),
        ),
    ),
    "pairs": (
        PAIRS,
        lines(
            DOCUMENTATION,
            ("teacher", of_pairs("teacher")),
            ("MDLM, ReDi", of_pairs("mdlm/redi")),
            ("IMDM, ReDi", of_pairs("imdm/redi")),
            ("IMDM, SDTT + ReDi", of_pairs("imdm/sdtt3-redi", "imdm/sdtt3")),
            ("keyed (no pairs)", of_pairs(KEYED, KEYED)),
        ),
    ),
    "noise": (
        FEW,
        [
            *lines(DOCUMENTATION, *((f"{label} / IMDM", ratio(f"{v}/sdtt3-redi", "imdm/sdtt3-redi")) for label, v in NOISES)),
            *against_mdlm("1,408 masks", "multimask"),
            *against_mdlm("scale 2", "imdm-s2"),
        ],
    ),
    "factorization": (
        FEW,
        lines(["tiny"], *((label, value(m, ERROR, "factorization")) for label, m in [("teacher", "teacher"), *STUDENTS, *BOTH])),
    ),
    "sentences": (COMPARED, of_every_model(SENTENCES)),
    "sentences_ratios": (
        (*FEW, 24),
        [
            *(
                line
                for label, recipe in (("SDTT", "sdtt3"), ("ReDi", "redi"), ("SDTT + ReDi", "sdtt3-redi"))
                for line in both(label, recipe)
            ),
            *(Line(f"IMDM / MDLM, ReDi, `{run}`", [run], ratio("imdm/redi", "mdlm/redi")) for run in SENTENCES),
            *lines(
                SENTENCES,
                ("teacher, dilated / teacher", ratio("teacher", "teacher", "dilated", "samples")),
                ("keyed / teacher", ratio(KEYED, "teacher")),
                (EQUAL, at_entropy(KEYED)),
                ("both dilated", ratio(KEYED, "teacher", "dilated")),
                ("teacher / real text", over_text("teacher")),
            ),
        ],
    ),
    "captions": (
        (*FEW, 32),
        [
            *lines(["captions"], ("teacher", value("teacher")), *((label, value(model)) for label, model in STUDENTS)),
            Line("IMDM / MDLM, ReDi, at the teacher's entropy", CAPTIONS, at_entropy("imdm/redi")),
        ],
    ),
    "captions_keyed": (
        (*FEW, 32),
        lines(
            ["captions1/unmasking"],
            ("teacher", value("teacher")),
            ("MAUVE", value("teacher", "mauve")),
            ("teacher, dilated", value("teacher", kind="dilated")),
            ("keyed", value(KEYED)),
            ("MAUVE", value(KEYED, "mauve")),
            ("keyed / teacher", ratio(KEYED, "teacher")),
            ("both dilated", ratio(KEYED, "teacher", "dilated")),
        ),
    ),
    "stories": (
        columns("gen_ppl", "perplexity, ", FEW)
        | columns("validity_pct", "valid (%), ", FEW[2:])
        | columns("bigram_kl_nats", "bigram KL, ", FEW),
        [
            *(line for model in ("oracle", "teacher") for line in orders(STORIES, model, model)),
            *lines(STORIES, *((label, value(model)) for label, model in [*STUDENTS, *BOTH])),
            *lines(STORIES, ("MDLM, SDTT + Di4C", value("mdlm/sdtt3-di4c2")), ("keyed", value(KEYED))),
        ],
    ),
    "stories_ratios": (
        FEW,
        lines(
            STORIES,
            ("IMDM / MDLM, ReDi", ratio("imdm/redi", "mdlm/redi")),
            ("keyed / teacher", ratio(KEYED, "teacher")),
            ("keyed / oracle", ratio(KEYED, "oracle")),
            ("both dilated", ratio(KEYED, "oracle", "dilated")),
        ),
    ),
}


def table(name: str) -> str:
    """A table of TABLES in Markdown."""
    wanted, content = TABLES[name]
    heads = [wanted[column] if isinstance(wanted, dict) else f"{column} step" if column == 1 else str(column) for column in wanted]
    rows = [["", *heads], ["---", *["---:"] * len(heads)]]
    rows += [[line.label, *(line.write([numbers_of(run) for run in line.runs], column) for column in wanted)] for line in content]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def written(page: str) -> str:
    """A page with its tables written again."""
    place = re.compile(r"(?s)(<!-- table: (\w+) -->\n).*?(<!-- end of \2 -->)")
    return place.sub(lambda found: f"{found[1]}\n{table(found[2])}\n\n{found[3]}", page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
