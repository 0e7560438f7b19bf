"""docs/architecture.md is the code's: the page is in sync, and imports go in one direction."""

from __future__ import annotations

import importlib.util
import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from checkout import ROOT

spec = importlib.util.spec_from_file_location("architecture", ROOT / "docs/architecture.py")
architecture = sys.modules["architecture"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(architecture)

LAYER = {name: number for number, layer in enumerate(architecture.LAYERS) for name in layer}


def test_the_page_is_that_of_the_code():
    page = (ROOT / architecture.PAGE).read_text(encoding="utf-8")
    assert page == architecture.document(), f"{architecture.PAGE} is not of this code; run `make docs`"


def test_every_part_of_the_library_has_a_layer():
    parts = {path.stem for path in (ROOT / "src/imdm").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert parts - {"__init__"} == LAYER.keys(), "LAYERS in docs/architecture.py and src/imdm differ"
    assert len(LAYER) == sum(map(len, architecture.LAYERS))


def test_imports_go_down_the_layers():
    graph = architecture.package_graph()
    upward = [f"{name} -> {other}" for name, others in graph.items() for other in others if LAYER[other] >= LAYER[name]]
    assert not upward, upward


def test_there_is_no_circle_of_modules():
    assert "imdm.errors" in list(TopologicalSorter(architecture.module_graph()).static_order())


def test_the_library_does_not_know_the_stages_nor_a_stage_another():
    stages = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"_src"}
    for file in (*(ROOT / "src/imdm").rglob("*.py"), *(ROOT / "stages").glob("*.py")):
        words = [line.split()[1] for line in file.read_text().splitlines() if line.strip().startswith(("import ", "from "))]
        assert not stages & {word.partition(".")[0] for word in words} and "stages" not in words, file


def test_the_library_knows_neither_snakemake_nor_dvc():
    for file in (ROOT / "src/imdm").rglob("*.py"):
        lines = [line.strip() for line in file.read_text().splitlines()]
        assert not [line for line in lines if re.match(r"(import|from) (snakemake|dvc)\b", line)], file


@pytest.mark.parametrize(
    ("graph", "wanted"),
    [
        ({"a": {"b", "c"}, "b": {"c"}, "c": set()}, {"a": {"b"}, "b": {"c"}, "c": set()}),
        ({"a": {"a", "b"}, "b": set()}, {"a": {"a", "b"}, "b": set()}),
        ({"a": {"b", "c", "d"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}, {"a": {"b", "c"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}),
        ({"a": {"b", "d"}, "b": {"c"}, "c": {"d"}}, {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": set()}),
    ],
)
def test_reduction(graph, wanted):
    graph = {node: graph.get(node, set()) for node in wanted}
    assert architecture.reduced(graph) == wanted


def test_imports_inside_functions_count(tmp_path: Path):
    file = tmp_path / "module.py"
    file.write_text("import imdm.stage.job\nfrom imdm import errors\ndef f():\n    from imdm.data.blocks import Dataset\nimport numpy\n")
    assert architecture.imports(file) == {"imdm.stage.job", "imdm.errors", "imdm.data.blocks"}
