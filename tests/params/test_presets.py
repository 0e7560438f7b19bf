"""The presets: every value has a row with its source in docs/presets.md, every estimate is as printed."""

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
    """(dotted key, value); a list of blocks is given as its length."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"{prefix}{key}", len(value)
        else:
            yield f"{prefix}{key}", value


def value_rows() -> dict[str, list[str]]:
    """The cells of the page's last table by key."""
    rows = [line.strip("| ").split(" | ") for line in PAGE.partition("## Every value")[2].splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in rows}


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_valid(preset):
    params = load_params(ROOT / f"presets/{preset}.yaml")
    assert params.run == preset and params.runtime.device == "cuda" and params.judge.model == "gpt2-large"


@pytest.mark.parametrize("preset", PRESETS)
def test_every_value_has_a_row_with_its_source(preset):
    tree = dict(leaves(yaml.safe_load((ROOT / f"presets/{preset}.yaml").read_text(encoding="utf-8"))))
    rows, column = value_rows(), PRESETS.index(preset)
    written = {key: yaml.safe_load(cells[column].strip("`")) for key, cells in rows.items() if cells[column] != "-"}
    assert written == tree
    assert all(len(cells) == 5 and cells[4] for cells in rows.values())


def test_quotes_are_the_papers():
    if not PAPER.is_file():
        pytest.skip(f"the paper's text is not at {PAPER} (IMDM_FIXTURES)")
    text = " ".join(PAPER.read_text(encoding="utf-8").split())
    quotes = {quote for cells in value_rows().values() for quote in re.findall(r'"([^"]+)"', cells[4])}
    assert len(quotes) > 15
    assert not [quote for quote in quotes if quote not in text]


def test_estimates_are_as_the_page_shows_them():
    """Every table of the page is what `make docs` would print now."""
    printed = estimates.PRINTED.findall(PAGE)
    assert {preset for _, preset, _, _, _ in printed} == {f"presets/{preset}.yaml" for preset in PRESETS}
    for _, preset, gpu, gpus, text in printed:
        assert estimates.estimated(preset, gpu, int(gpus)) + "\n" == text
