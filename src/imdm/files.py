"""Readers that trust no file: one for each kind. A fault is one sentence that names the file, and nothing of it is taken over silently.

A file may be missing, a folder, a pipe, cut off, edited or another program's. Text and JSON are bounded, JSON has neither NaN nor a key
twice and fits a shape, arrays have the kind, shape and range that their reader asks for.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic import ConfigDict, TypeAdapter, ValidationError

from imdm.errors import UserError

if TYPE_CHECKING:
    import numpy as np

STRICT = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid")  # of a shape that is whole
OPEN = ConfigDict(strict=True, allow_inf_nan=False, extra="allow")  # of one that says what is read, and keeps the rest
_LONGEST_TEXT = 1 << 26  # bytes of a text or JSON file


def said(error: object, most: int = 200) -> str:
    """What an error (or value) says, on one line that a terminal can show."""
    text = " ".join(str(error).split())
    return text if len(text) <= most else f"{text[:most]}..."


def require_regular(path: str | Path, remedy: str) -> None:
    """Raises UserError: there is no file that can be opened, or it is a folder, a pipe or a device."""
    try:
        mode = os.stat(path).st_mode
        if not os.access(path, os.R_OK):
            raise PermissionError(0, "Permission denied")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; {remedy}.") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        raise UserError(f"{said(path)} can't be read ({getattr(error, 'strerror', None) or error}); {remedy}.") from None
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or device"
        raise UserError(f"{path} is {kind} and no file; {remedy}.")


def read_text(path: str | Path, what: str, remedy: str) -> str:
    """A text file, whole.

    Args:
        what: the file should be, for messages: "a dataset.json of tokenize_pack".
        remedy: what the user can do.

    Raises:
        UserError: as `require_regular`; it isn't UTF-8, or too long to be `what`.
    """
    require_regular(path, remedy)
    if os.path.getsize(path) > _LONGEST_TEXT:
        raise UserError(f"{path} is not {what} (it has more than {_LONGEST_TEXT >> 20} MiB); {remedy}.")
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not {what} (it is not UTF-8 at byte {error.start}); {remedy}.") from None


def read_json(path: str | Path, shape: Any, what: str, remedy: str) -> Any:
    """A JSON file that has a shape, anything that pydantic takes for a type. Raises as `read_text`, and for JSON that it doesn't fit."""
    return fitting(path, read_text(path, what, remedy), shape, what, remedy)


def fitting(path: str | Path, text: str, shape: Any, what: str, remedy: str) -> Any:
    """As `read_json`, of JSON that stands in the file `path`."""
    try:
        return _adapter(shape).validate_python(parse_json(text))
    except ValidationError as error:
        raise UserError(f"{path} is not {what} ({fault(error)}); {remedy}.") from None
    except ValueError as error:
        raise UserError(f"{path} is not {what} (it is not valid JSON: {said(error)}); {remedy}.") from None


@functools.cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def fault(error: ValidationError) -> str:
    """The first thing that is wrong, with the place where it stands."""
    first = error.errors()[0]
    place, text = ".".join(map(str, first["loc"])), first["msg"]
    return said(f"{place}: {text[0].lower()}{text[1:]}" if place else text)


def parse_json(text: str) -> Any:
    """JSON by the letter. Raises ValueError: it isn't, or has NaN, an infinity, half a surrogate pair, a key twice or too many levels."""
    try:
        tree = json.loads(text, parse_constant=_no_number, parse_float=_float, parse_int=_int, object_pairs_hook=_once)
        if "\\ud" in text.lower():
            json.dumps(tree, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half a surrogate pair") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return tree


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{said(text, 40)} is no number")


def _float(text: str) -> float:
    return value if math.isfinite(value := float(text)) else _no_number(text)


def _int(text: str) -> int:
    return int(text) if len(text) < 20 else _no_number(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {said(repr(twice), 40)} stands there twice")
    return tree


@contextlib.contextmanager
def open_tensors(path: str | Path, remedy: str, framework: str = "np") -> Iterator[Any]:
    """An open safetensors file; what its reader says within is the file's fault too. Raises UserError: it is truncated or foreign."""
    from safetensors import safe_open

    require_regular(path, remedy)
    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except UserError:
        raise
    except Exception as error:  # of a kind of number that numpy lacks, for example
        raise UserError(f"{path} is truncated or no file of tensors ({said(error)}); {remedy}.") from None


def is_zip(path: str | Path) -> bool:
    """Whether a file begins as a zip, which torch.save writes."""
    with open(path, "rb") as file:
        return file.read(4) == b"PK\3\4"


def broken_zip(path: str | Path) -> str | None:
    """What is wrong with a file of torch.save, None where it is whole; torch itself looks at none of its sums."""
    try:
        with zipfile.ZipFile(path) as file:
            name = file.testzip()
    except Exception as error:  # a damaged directory can make zipfile raise anything
        return said(error)
    return None if name is None else f"{said(name)} is not what its sum says"


def read_tensors(path: str | Path, remedy: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Every tensor of a safetensors file, in its order, and its metadata."""
    with open_tensors(path, remedy) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118 (not a dict)


def require_array(
    path: str | Path,
    arrays: dict[str, np.ndarray],
    name: str,
    dtype: str,
    shape: tuple[int | None, ...],
    low: float = -math.inf,
    high: float = math.inf,
    remedy: str = "make it again",
) -> np.ndarray:
    """The array of a name.

    Args:
        dtype: numpy's name of it.
        shape: None stands for any size.
        low, high: bounds that its numbers keep, which must be finite; both may be reached.

    Raises:
        UserError: it is missing, or another.
    """
    array = arrays.get(name)
    if array is None:
        raise UserError(f"{path} lacks {name}; {remedy}.")
    if array.dtype != dtype or array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape)):
        wanted = f"{dtype} of shape ({', '.join('any' if n is None else str(n) for n in shape)})"
        raise UserError(f"{path} has {name} as {array.dtype} of shape {array.shape}, not {wanted}; {remedy}.")
    if array.size and not (low <= array.min() and array.max() <= high and (dtype[0] != "f" or math.isfinite(array.max() - array.min()))):
        raise UserError(f"{path} has values in {name} that aren't finite numbers from {low} to {high}; {remedy}.")
    return array
