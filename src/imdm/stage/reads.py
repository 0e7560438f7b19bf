"""What a stage reads of the parameters: READS in its script, from which triggers, cache keys, DVC's params and meta.json follow.

READS holds dotted keys. `mask_settings` stands for the mask settings of the variant that --variant names, and for nothing without
one, so that no stage depends on a variant that it does not make. `redi` is that of the variant, where there is one.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from imdm.params import MaskSettings, Params

OF_VARIANT = "mask_settings"


def declared(script: str | Path) -> tuple[str, ...]:
    """READS of a stage's script, without running it."""
    for node in ast.parse(Path(script).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "READS":
            return ast.literal_eval(node.value)
    return ()


def keys(reads: tuple[str, ...], variant: str | None = None) -> list[str]:
    """The dotted keys of the parameters that `reads` comes to, for a tool that knows no variants."""
    of_variant = {OF_VARIANT: [*MaskSettings.model_fields, "variants"] if variant else [], "redi": ["redi", *["variants"] * bool(variant)]}
    return sorted({key for name in reads for key in of_variant.get(name, [name])})


def resolve(params: Params, reads: tuple[str, ...], variant: str | None = None) -> dict[str, Any]:
    """The value of everything that a stage reads, by dotted key. Raises UserError: there is no such variant."""
    tree = params.model_dump(mode="json")
    if variant and "redi" in reads:
        tree["redi"] = params.redi_settings(variant).model_dump(mode="json")
    values: dict[str, Any] = {}
    for name in reads:
        if name == OF_VARIANT:
            masks = params.mask_settings(variant).model_dump(mode="json") if variant else {}
            values |= {"mask": "single"} if masks.get("mask") == "single" else masks  # so that mdlm does not depend on noise_dim
            continue
        value = tree
        for part in name.split("."):
            value = value[part]
        values[name] = value
    return values


def of_stages(folder: str | Path) -> dict[str, tuple[str, ...]]:
    """READS by the name of each stage in a folder that has them."""
    scripts = sorted(Path(folder).glob("[!_]*.py"))
    return {script.stem: declared(script) for script in scripts if "READS = " in script.read_text(encoding="utf-8")}
