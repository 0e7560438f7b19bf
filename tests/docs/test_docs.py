"""What the documents name exists: files behind links, tests, stages, places of the method."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import documents
from checkout import ROOT

LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")
TEST = re.compile(r"tests/((?:\w+/)?test_\w+)\.py(?:::(\w+))?")
SOURCE = re.compile(r"`((?:src|stages|workflow|tests|presets|docs)/[\w./-]+)`")
STAGE = re.compile(r"python stages/(\w+)\.py")


def functions(module: str) -> set[str]:
    tree = ast.parse((ROOT / f"tests/{module}.py").read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.*)$", path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", documents.PAGES)
def test_links_lead_somewhere(page):
    for link in LINK.findall(documents.prose(documents.text_of(page))):
        file, _, anchor = link.partition("#")
        target = (ROOT / page).parent / file if file else ROOT / page
        assert target.exists(), f"{page}: {link}"
        assert not anchor or anchor in anchors(target), f"{page}: {link}"


@pytest.mark.parametrize("page", documents.PAGES)
def test_named_tests_sources_and_stages_exist(page):
    text = documents.text_of(page)
    patched = "".join(patch.read_text() for patch in (ROOT / "docs/extending").glob("*.diff"))
    for module, function in TEST.findall(text):
        if f"+++ b/tests/{module}.py" in patched:
            continue
        assert (ROOT / f"tests/{module}.py").is_file() and (not function or function in functions(module)), f"{module}::{function}"
    for path in SOURCE.findall(text):
        assert (ROOT / path).exists(), f"{page}: {path}"
    for stage in STAGE.findall(text):
        assert (ROOT / f"stages/{stage}.py").is_file(), f"{page}: {stage}"


def test_the_places_of_the_method_exist():
    named = re.findall(r"`(\w+/(?:\w+\.py)?)(?:: ([\w, ]+))?`", documents.text_of("docs/method.md"))
    assert named
    for path, names in named:
        place = ROOT / "src/imdm" / path
        assert place.exists(), path
        for name in filter(None, names.split(", ")):
            assert re.search(rf"(?m)^ *(def|class) {name}\b", place.read_text()), f"{path}: {name}"


def test_anchors_are_githubs(tmp_path):
    (tmp_path / "page.md").write_text("# A page\n\n## Snakemake's results, in DVC\n\n### After a SIGKILL of `x_y`\n")
    assert anchors(tmp_path / "page.md") == {"a-page", "snakemakes-results-in-dvc", "after-a-sigkill-of-x_y"}
