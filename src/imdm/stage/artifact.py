"""What stages leave to each other: files with the digests that their meta.json has, which a consumer checks before it starts.

A TypedDict here is what a JSON file holds, as far as others read it; what stands there beside it is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Annotated, Any, NotRequired, Required

from pydantic import AfterValidator, Field, with_config
from typing_extensions import TypedDict

from imdm.errors import UserError
from imdm.files import OPEN, fitting, read_json, read_text, require_regular
from imdm.params import LanguageSettings
from imdm.writing import whole

META = "meta.json"
MOVE = "move it away, or choose another --out"
Positive = Annotated[int, Field(gt=0, lt=2**31)]
ByStep = dict[Annotated[str, Field(pattern="^[1-9][0-9]{0,8}$")], float]


def sha256(path: str | Path) -> str:
    """Hex digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: str | Path, value: Any) -> None:
    """Write indented JSON with sorted keys, so that equal values give equal bytes. Raises ValueError: a number is not finite."""
    with whole(path) as beside:
        beside.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def _inside(name: str) -> str:
    if not name or "\0" in name or name.startswith("/") or ".." in name.split("/"):
        raise ValueError("is no file below it")
    return name


@with_config(OPEN)
class Meta(TypedDict):
    """What others read of a meta.json."""

    stage: str
    inputs: dict[str, str]
    outputs: dict[Annotated[str, AfterValidator(_inside)], str]
    parameters: dict[str, Any]
    metrics: dict[str, Any]
    seconds: float
    resumed: bool
    peak_memory_mib: dict[str, float]
    git: str | None


def read_meta(file: str | Path) -> Meta | None:
    """The meta.json (or STEM.meta.json) of the artifact that a file belongs to, None where there is none. Raises UserError: it is none."""
    file = Path(file)
    for path in sorted(file.parent.glob(f"*{META}")):
        meta = read_json(path, Meta, "what a stage writes", f"delete {file.parent} and run its stage again")
        if path.name == META or file.name in meta["outputs"]:
            return meta
    return None


def read_record(path: Path, shape: Any) -> Any:
    """What a stage has noted where it writes; empty where a machine failed before the disk had it, None where there is none.

    Raises:
        UserError: it is another program's, and so is what lies beside it.
    """
    what = "what a stage writes"
    try:
        text = read_text(path, what, MOVE) if os.path.lexists(path) else None
        return text if text is None else fitting(path, text, shape, what, MOVE) if text.strip("\0") else {}
    except (UserError, FileNotFoundError):
        if os.path.lexists(path):
            raise
        return None  # it went meanwhile, with what another process has finished


def artifact_files(folder: str | Path) -> list[Path]:
    """Every file of the finished artifacts below a folder, but for meta.json and work in progress, sorted."""
    files = (path for path in sorted(Path(folder).rglob("*")) if path.is_file() and not path.name.endswith(META))
    return [path for path in files if not any(part.endswith(".partial") or part.startswith(".") for part in path.relative_to(folder).parts)]


def verify(file: str | Path) -> str:
    """Check that an input exists, isn't empty, and is what its producer wrote.

    Args:
        file: one file, or a folder of artifacts, all of whose finished files are checked.

    Returns:
        The file's sha256, or one digest over those of the folder.

    Raises:
        UserError: it is missing or empty, or differs from the digest in the meta.json beside it.
    """
    file = Path(file)
    if file.is_dir():
        digests = {str(path): verify(path) for path in artifact_files(file)}
        if not digests:
            raise UserError(f"{file} holds no finished artifact; run the stages that make it.")
        return hashlib.sha256(json.dumps(digests).encode()).hexdigest()
    require_regular(file, f"run `snakemake {file}` for it, or correct the path")
    if file.stat().st_size == 0:
        raise UserError(f"{file} is empty; delete it and run the stage that makes it again.")
    digest = sha256(file)
    meta = read_meta(file)
    if meta and meta["outputs"].get(file.name, digest) != digest:
        raise UserError(
            f"{file} is damaged or was edited (its sha256 is not the one in {META}); delete it and run stage {meta['stage']} again."
        )
    return digest


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


def read_output(path: str | Path, shape: Any, stage: str) -> Any:
    """A stage's JSON file. Raises UserError: it is missing, no such file, or was edited to what no such stage writes."""
    return read_json(path, shape, f"a {Path(path).name} of stage {stage}", f"run stage {stage} again, or give the file that it wrote")
