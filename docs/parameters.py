"""Writes what follows from the definition of the parameters: `python docs/parameters.py`, part of `make docs`.

`workflow/schemas/params.schema.json` is for editors, `docs/parameters.md` for readers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from imdm.params import Params  # noqa: E402

SCHEMA = "workflow/schemas/params.schema.json"
DOCUMENT = "docs/parameters.md"
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_INTRODUCTION = """# Parameters

Every key of `params.yaml` and of the files in `presets/`, written by `python docs/parameters.py` from `src/imdm/params/`.
What a file leaves out has the value of `params.yaml`, the default experiment, which gives every key and is far smaller than the paper's.
The defaults below are the library's own: the paper's, where the paper states a value. NAME stands for a name of your choice, [] for
each entry of a list.
"""


def schema() -> dict[str, Any]:
    """JSON Schema of a parameter file, which may leave out any key."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | _optional(Params.model_json_schema())


def _optional(node: Any) -> Any:
    """A schema that requires no key; a list of `required` keys is no property of that name."""
    if isinstance(node, list):
        return [_optional(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    return {key: _optional(value) for key, value in node.items() if key != "required" or not isinstance(value, list)}


def document() -> str:
    """A Markdown table of every parameter: key, type, default, description; one section a block."""
    tree = Params.model_json_schema()
    sections: dict[str, list[str]] = {"": []}
    for key, node, required in _leaves(tree, tree, ""):
        block = key.partition(".")[0].removesuffix("[]") if "." in key else ""
        default = "" if required or "default" not in node else f"`{json.dumps(node['default'])}`"
        sections.setdefault(block, []).append(f"| `{key}` | {_type(tree, node)} | {default} | {node.get('description', '')} |")
    lines = [_INTRODUCTION]
    for block, rows in sections.items():
        lines += [f"## {block or 'Top level'}\n", "| key | type | default | description |", "|---|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _resolve(tree: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref")
    return tree["$defs"][reference.rpartition("/")[2]] | node if reference else node


def _leaves(tree: dict[str, Any], node: dict[str, Any], prefix: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """(dotted key, schema, whether it must be given) of every parameter that isn't a block."""
    for name, child in node["properties"].items():
        child = _resolve(tree, child)
        key = f"{prefix}{name}"
        entries = next(iter(child.get("patternProperties", {}).values()), None)
        item = _resolve(tree, child.get("items") or entries or {})
        if "properties" in child:
            yield from _leaves(tree, child, f"{key}.")
        elif "properties" in item:
            yield from _leaves(tree, item, f"{key}[]." if "items" in child else f"{key}.NAME.")
        else:
            yield key, child, name in node.get("required", [])


def _type(tree: dict[str, Any], node: dict[str, Any]) -> str:
    """A schema in words: `integer > 0`, `single, infinite or finite`, `list of string`."""
    node = _resolve(tree, node)
    if "anyOf" in node:
        return " or ".join(_type(tree, option) for option in node["anyOf"])
    if "enum" in node:
        return " or ".join(f"`{value}`" for value in node["enum"])
    if "const" in node:
        return f"`{node['const']}`"
    if node["type"] == "array":
        return f"list of {_type(tree, node['items'])}"
    bounds = [f"{sign} {node[name]:g}" for name, sign in _BOUNDS.items() if name in node]
    return " ".join([node["type"], ", ".join(bounds)]).strip()


if __name__ == "__main__":
    (ROOT / SCHEMA).write_text(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (ROOT / DOCUMENT).write_text(document(), encoding="utf-8")
