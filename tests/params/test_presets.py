"""The presets: docs/presets.md has every value that they change with its source, every estimate is as printed."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from checkout import ROOT
from imdm.params import load_params

sys.path.append(str(ROOT / "docs"))
import estimates  # noqa: E402

PRESETS = ("lm1b", "owt", "owt-860m", "single-gpu")
PAPER = Path(os.environ.get("IMDM_FIXTURES", ROOT.parent / "shared")) / "paper/imdm.txt"
PAGE = (ROOT / "docs/presets.md").read_text(encoding="utf-8")


def leaves(tree: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """(dotted key, value)."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def documented() -> Iterator[tuple[str, str, object, str]]:
    """(preset, key, value, source) of the page's last two tables."""
    for line in PAGE.partition("## Every value")[2].splitlines():
        *values, source = line.strip("| ").split(" | ")
        if len(values) == 1:  # of all presets
            pairs = [pair.split(": ", 1) for pair in re.findall(r"`([^`]+)`", values[0])]
            yield from ((preset, key, yaml.safe_load(value), source) for preset in PRESETS for key, value in pairs)
        elif line.startswith("| `"):
            key, *values = (value.strip("`") for value in values)
            yield from ((preset, key, yaml.safe_load(value), source) for preset, value in zip(PRESETS, values) if value != "-")


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_valid(preset):
    params = load_params(ROOT / f"presets/{preset}.yaml")
    assert params.run == preset and params.runtime.device == "cuda" and params.judge.model == "gpt2-large"


@pytest.mark.parametrize("preset", PRESETS)
def test_every_key_of_a_preset_has_its_value_and_source_in_the_page(preset):
    files = [yaml.safe_load((ROOT / f"presets/{name}.yaml").read_text(encoding="utf-8")) for name in PRESETS]
    changed = {key for file in files for key, _ in leaves(file)} - {"run"}
    params = dict(leaves(load_params(ROOT / f"presets/{preset}.yaml").model_dump(mode="json")))
    rows = [(key, value) for name, key, value, source in documented() if name == preset and source]
    assert dict(rows) == {key: params[key] for key in changed & params.keys()}
    assert len(dict(rows)) == len(rows)


def test_quotes_are_the_papers():
    if not PAPER.is_file():
        pytest.skip(f"the paper's text is not at {PAPER} (IMDM_FIXTURES)")
    text = " ".join(PAPER.read_text(encoding="utf-8").split())
    quotes = {quote for *_, source in documented() for quote in re.findall(r'"([^"]+)"', source)}
    assert len(quotes) > 15
    assert not [quote for quote in quotes if quote not in text]


def test_estimates_are_as_the_page_shows_them():
    """Every table of the page is what `make docs` would print now."""
    printed = estimates.PRINTED.findall(PAGE)
    assert {preset for _, preset, _, _, _ in printed} == {f"presets/{preset}.yaml" for preset in PRESETS}
    for _, preset, gpu, gpus, text in printed:
        assert estimates.estimated(preset, gpu, int(gpus)) + "\n" == text
