"""Reading parameter files."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from imdm.errors import UserError
from imdm.files import read_text, said
from imdm.params.experiment import Params

_INSTALLED = Path(__file__).resolve().parents[1] / "params.yaml"
_CHECKOUT = Path(__file__).resolve().parents[3] / "params.yaml"
BASE = _INSTALLED if _INSTALLED.is_file() else _CHECKOUT  # the default experiment, which every other file changes


class _Yaml(yaml.SafeLoader):
    """YAML whose plain words mean one thing to every reader, and whose keys come once.

    YAML 1.1 (PyYAML, Snakemake) and 1.2 (DVC) take `010` for 8 and 10, `1:30` for 90 and a text, `yes` for true and a text. Here
    they are texts, which no number and no switch accepts; so are .inf and .nan.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]:
            name = self.construct_object(key, deep=True)
            wrong = "is no name" if not isinstance(name, str) else "stands there twice" if name in seen else None
            if wrong:
                raise yaml.constructor.ConstructorError(None, None, f"the key {said(repr(name), 40)} {wrong}", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


for _tag, _words, _first in (
    ("merge", "<<", ["<"]),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("int", r"[-+]?(0|[1-9][0-9]*(_[0-9]+)*)", [*"-+0123456789"]),
    ("float", r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?", [*"-+.0123456789"]),
):
    _Yaml.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"({_words})$"), _first)


def load_params(files: str | Path | Sequence[str | Path], overrides: Sequence[str] = ()) -> Params:
    """Read and validate an experiment.

    A file holds what differs from the project's params.yaml, and a later file what differs from those before it, as with
    Snakemake's --configfile: mappings are merged, lists and values replaced.

    Args:
        files: one YAML file or several.
        overrides: `key.sub=value` strings, the value read as YAML and merged as a file's is.

    Raises:
        UserError: a file is missing or no YAML mapping, or a key or value is wrong.
    """
    paths = [Path(files)] if isinstance(files, str | Path) else [Path(file) for file in files]
    tree = {} if any(path.resolve() == BASE for path in paths) else _read(BASE)
    sources: list[tuple[str, dict[str, Any]]] = []
    try:
        for path in paths:
            sources.append((str(path), _read(path)))
            _merge(tree, sources[-1][1])
        for override in overrides:
            sources.append(("the command line", _set(tree, override)))
        return Params.model_validate(tree)
    except ValidationError as error:
        location = [part for part in error.errors()[0]["loc"] if not str(part).endswith("]")]
        named = [name for name, changes in sources if location and _holds(changes, location)][-1:]
        raise UserError(_sentence(" and ".join(named or dict.fromkeys(name for name, _ in sources)), error)) from None
    except RecursionError:
        raise UserError(f"{paths[-1]} or a --set is nested too deeply; write plain values.") from None


class _Dumper(yaml.SafeDumper):
    """Nothing for null, as DVC writes it, so that `dvc exp run -S` changes one line."""


_Dumper.add_representer(type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", ""))


def resolved_yaml(params: Params) -> str:
    """A whole parameter file, from which the same experiment comes without any other file."""
    return yaml.dump(params.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=140)


def _read(path: Path) -> dict[str, Any]:
    text = read_text(path, "a parameter file", "name the parameter file with --params")
    tree = _parse(text, f"{path} is not valid YAML")
    if not isinstance(tree, dict):
        raise UserError(f"{path} must hold a mapping of parameters.")
    return tree


def _parse(text: str, fault: str) -> Any:
    try:
        return yaml.load(text, _Yaml)
    except (yaml.YAMLError, ValueError, AttributeError, TypeError, KeyError) as error:  # the latter of a tag whose value it can't be
        raise UserError(f"{fault} ({said(error)}); correct it.") from None


def _merge(tree: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = value


def _holds(changes: Any, location: Sequence[Any]) -> bool:
    """Whether the value at a place of the whole tree, or one around it, comes from these changes."""
    for part in location:
        if not isinstance(changes, dict):
            break
        if part not in changes:
            return False
        changes = changes[part]
    return True


def _set(tree: dict[str, Any], override: str) -> dict[str, Any]:
    """Merge an override into a tree; returns it as a tree of its own."""
    key, equals, value = override.partition("=")
    if not equals:
        raise UserError(f"--set {reprlib.repr(override)} must be KEY=VALUE, for example noise_dim=64.")
    *parents, last = key.split(".")
    place = tree
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise UserError(f"--set {reprlib.repr(override)}: {said(parent)} has no keys below it.")
    changes = {last: _parse(value, f"--set {said(key)} is not valid YAML")}
    _merge(place, changes)
    for parent in reversed(parents):
        changes = {parent: changes}
    return changes


def _sentence(source: str, error: ValidationError) -> str:
    first = error.errors()[0]
    key = said(".".join(str(part) for part in first["loc"] if not str(part).endswith("]")))
    more = f" ({error.error_count() - 1} more problems follow)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(first["loc"][-1]), _fields(first["loc"][:-1]), n=1)
        remedy = f"did you mean {near[0]}?" if near else "remove it."
        return f"{source}: {key} is not a parameter; {remedy}{more}"
    text = said(first["msg"].removeprefix("Value error, "), 1000)
    if first["type"] == "missing":
        return f"{source}: {key} is missing; add it.{more}"
    if first["type"] == "value_error":
        return f"{source}: {key + ': ' if key else ''}{text}.{more}"
    return f"{source}: {key} = {said(reprlib.repr(first['input']))} is wrong: {text[0].lower() + text[1:]}.{more}"


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
