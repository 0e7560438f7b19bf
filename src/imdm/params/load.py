"""Reading parameter files."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from imdm.errors import UserError
from imdm.params.experiment import Params

_INSTALLED = Path(__file__).resolve().parents[1] / "params.yaml"
_CHECKOUT = Path(__file__).resolve().parents[3] / "params.yaml"
BASE = _INSTALLED if _INSTALLED.is_file() else _CHECKOUT  # the default experiment, which every other file changes


def load_params(files: str | Path | Sequence[str | Path], overrides: Sequence[str] = ()) -> Params:
    """Read and validate an experiment.

    A file holds what differs from the project's params.yaml, and a later file what differs from those before it, as with
    Snakemake's --configfile: mappings are merged, lists and values replaced.

    Args:
        files: one YAML file or several.
        overrides: `key.sub=value` strings, the value read as YAML.

    Raises:
        UserError: a file is missing or no YAML mapping, or a key or value is wrong.
    """
    paths = [Path(files)] if isinstance(files, str | Path) else [Path(file) for file in files]
    tree = {} if any(path.resolve() == BASE for path in paths) else _read(BASE)
    for path in paths:
        _merge(tree, _read(path))
    for override in overrides:
        _set(tree, override)
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        raise UserError(_sentence(paths[-1], error)) from None


def resolved_yaml(params: Params) -> str:
    """A whole parameter file, from which the same experiment comes without any other file."""
    return yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=140)


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; name the parameter file with --params.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path} must hold a mapping of parameters.")
    return tree


def _merge(tree: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = value


def _set(tree: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals:
        raise UserError(f"--set {override!r} must be KEY=VALUE, for example noise_dim=64.")
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise UserError(f"--set {override!r}: {parent} has no keys below it.")
    tree[last] = yaml.safe_load(value)


def _sentence(path: Path, error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    more = f" ({error.error_count() - 1} more problems follow)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(first["loc"][-1]), _fields(first["loc"][:-1]), n=1)
        remedy = f"did you mean {near[0]}?" if near else "remove it."
        return f"{path}: {key} is not a parameter; {remedy}{more}"
    text = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"{path}: {key} is missing; add it.{more}"
    if first["type"] == "value_error":
        return f"{path}: {key + ': ' if key else ''}{text}.{more}"
    return f"{path}: {key} = {first['input']!r} is wrong: {text[0].lower() + text[1:]}.{more}"


def _fields(location: tuple[Any, ...]) -> list[str]:
    """Names that are allowed at `location` of the tree."""
    model: Any = Params
    for part in location:
        fields = getattr(model, "model_fields", {})
        if part in fields:
            model = fields[part].annotation
        elif not isinstance(model, type):  # dict[Name, X] or list[X]: go on with X
            model = model.__args__[-1]
    return list(getattr(model, "model_fields", {}))
