"""docs/extending.md: every patch fits the code as it is, and its test passes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import documents
from checkout import FILES, FOLDERS, ROOT, run

pytestmark = pytest.mark.slow
PAGE = documents.text_of("docs/extending.md")
PATCHES = sorted((ROOT / "docs/extending").glob("*.diff"))
COPIED = (*FOLDERS, *FILES, "tests", "docs", "presets", "pyproject.toml", "requirements.lock", "requirements-cuda.lock", "Makefile")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with all that its own tests need, before any patch."""
    folder = tmp_path_factory.mktemp("extending")
    for name in COPIED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    run(folder, "git", "init", "--quiet")
    return folder


def new_tests(patch: Path) -> list[str]:
    return re.findall(r"(?m)^\+\+\+ b/(tests/\w+/test_\w+\.py)$", patch.read_text())


def test_the_page_names_every_patch():
    assert [f"extending/{patch.name}" for patch in PATCHES] == sorted(set(re.findall(r"\((extending/\w+\.diff)\)", PAGE)))
    assert all(len(new_tests(patch)) == 1 for patch in PATCHES)


def test_the_commands_of_the_page(project):
    (block,) = (block for block in documents.blocks("docs/extending.md") if block.language == "sh")
    apply, test, make = block.text.splitlines()
    assert test.endswith(new_tests(ROOT / apply.split()[-1])[0])
    run(project, *apply.split(), "--check")
    assert "docs/parameters.py" in run(project, *make.split(), "--dry-run")


def test_every_patch_fits_and_its_test_passes(project):
    for patch in PATCHES:
        run(project, "git", "apply", "--check", f"docs/extending/{patch.name}")
    for patch in PATCHES:
        run(project, "git", "apply", f"docs/extending/{patch.name}")
    run(project, "ruff", "check", ".")
    run(project, "ruff", "format", "--check", ".")
    tests = [test for patch in PATCHES for test in new_tests(patch)]
    assert f"{len(tests)} passed" in run(project, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
