"""What the stages' JSON files hold, as far as others read it; `read` refuses a file that does not. What stands there beside it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NotRequired, Required

from pydantic import Field, with_config
from typing_extensions import TypedDict

from imdm.files import OPEN, read_json
from imdm.params import LanguageSettings

Positive = Annotated[int, Field(gt=0, lt=2**31)]
ByStep = dict[Annotated[str, Field(pattern="^[1-9][0-9]{0,8}$")], float]


@with_config(OPEN)
class Row(TypedDict, total=False):
    """A number with its interval; None where it could not be measured, or an end was not reached."""

    metric: Required[str]
    value: Required[float | None]
    low: Required[float | None]
    high: Required[float | None]
    steps: int | None
    model: str
    setting: str
    seed: int | None
    table: int


@with_config(OPEN)
class JudgeNamed(TypedDict):
    """A judge, as results name it."""

    name: str
    precision: str
    held_out_perplexity: Annotated[float, Field(gt=0)] | None


class AboutJudge(JudgeNamed):
    """judge.json; language and seq_len are an exact judge's."""

    source: str | None
    revision: str | None
    language: NotRequired[LanguageSettings]
    seq_len: NotRequired[Positive]


@with_config(OPEN)
class Prompts(TypedDict):
    """The prompts that samples complete."""

    prompts: Positive
    completions: Positive
    scored_tokens: Annotated[int, Field(ge=2, lt=2**31)]


@with_config(OPEN)
class Metrics(TypedDict):
    """The values of scores.json by step count."""

    gen_ppl: ByStep
    entropy: ByStep
    mauve: NotRequired[ByStep]


@with_config(OPEN)
class Scores(TypedDict):
    """scores.json."""

    task: str
    model: str
    precision: str
    temperature: ByStep
    conditional: Prompts | None
    judge: JudgeNamed
    rows: list[Row]
    metrics: Metrics


@with_config(OPEN)
class RealText(TypedDict):
    """A kind of real text in reference.json."""

    split: str
    settings: dict[str, Any] | None
    gen_ppl: dict[str, float]
    entropy: dict[str, float]


@with_config(OPEN)
class Reference(TypedDict):
    """reference.json."""

    judge: dict[str, Any]
    settings: dict[str, Any]
    unconditional: RealText
    conditional: RealText | None


def read(path: str | Path, shape: Any, stage: str) -> Any:
    """A stage's JSON file. Raises UserError: it is missing, no such file, or was edited to what no such stage writes."""
    return read_json(path, shape, f"a {Path(path).name} of stage {stage}", f"run stage {stage} again, or give the file that it wrote")
