"""Every command that the documents show, as far as it can be tried without doing its work.

Above each block of commands stands what is to be done with it:

    <!-- test: run -->               as it is, in a clone of the project
    <!-- test: dry-run -->           each command in the form that costs nothing: see `dry`
    <!-- test: tests/test_x.py -->   by that test, which names the page
    <!-- test: not here: REASON -->  not at all
"""

from __future__ import annotations

import functools
import importlib
import shutil
import subprocess
from pathlib import Path

import pytest
from dvc.cli import DvcParserError, parse_args

import documents
from checkout import ROOT, clone, run
from imdm.stage.job import StageParser

BLOCKS = documents.shown()
HARMLESS = ("source", "$EDITOR", "cd", "git", "export")  # of the user's machine: only the shell reads them
PREFLIGHT = "stages/preflight.py"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = clone(tmp_path_factory.mktemp("documents"))
    for name in ("Makefile", "slurm", "tests", "docs", "presets", "pyproject.toml", "requirements.lock", "requirements-cuda.lock"):
        source = ROOT / name
        shutil.copytree(source, folder / name) if source.is_dir() else shutil.copy(source, folder / name)
    return folder


def dry(words: list[str], project: Path) -> None:
    """Try a command without its work; an AssertionError or SystemExit where it would not even begin."""
    while "=" in words[0]:  # VARIABLE=value
        words = words[1:]
    program, *arguments = words
    if program == "snakemake":
        dry_snakemake(project, *arguments)
    elif program == "make":
        run(project, "make", "--dry-run", *arguments)
    elif program == "dvc":
        parse_args(arguments)
    elif program == "ruff" or words[:3] == ["python", "-m", "pytest"] or (program == "python" and arguments[0].startswith("docs/")):
        run(project, *words, "--help")
    elif words[:2] == ["python", PREFLIGHT]:  # tests/params/test_presets.py compares what it prints
        preflight = importlib.import_module("preflight")
        assert preflight.main(["--help"] if "--help" in words else [*arguments[1:], "--tflops", "1"]) in (0, 1)
    elif program == "imdm":
        run(project, "imdm", arguments[0], "--help")
    elif program == "python" and arguments[0].startswith("stages/"):
        parse(Path(arguments[0]).stem, arguments[1:])
    elif words[:2] != ["python", "workflow/write_dvc.py"]:  # tests/docs/test_docs_quickstart.py runs it
        assert program in HARMLESS, f"{program}: say in tests/docs/test_docs_commands.py how to try it"


@functools.cache  # several pages show the same
def dry_snakemake(project: Path, *arguments: str) -> None:
    run(project, "snakemake", *arguments, "--dry-run", "--quiet")


def parse(stage: str, arguments: list[str]) -> None:
    """The stage's own parser on the arguments, which ends the test where it would end the stage."""
    parser = StageParser(stage, "")
    importlib.import_module(stage).arguments(parser)
    parser.parse_args(arguments)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.declared == "dry-run"], ids=str)
def test_dry(block, project, monkeypatch):
    monkeypatch.chdir(project)
    subprocess.run(["bash", "-n", "-c", block.text], check=True)
    for words in documents.commands(block.text):
        dry(words, project)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.declared == "run"], ids=str)
def test_run(block, project):
    assert run(project, "bash", "-euo", "pipefail", "-c", block.text)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_says_what_is_done_with_it(block):
    assert block.declared, "write what is to be done with the commands above them: <!-- test: run | dry-run | tests/... | not here: ... -->"
    if block.declared.startswith("tests/"):
        assert block.page.removeprefix("docs/") in (ROOT / block.declared).read_text(), f"{block.declared} does not name {block.page}"
    else:
        kind, _, reason = block.declared.partition(": ")
        assert (kind in ("run", "dry-run") and not reason) or (kind == "not here" and reason)


@pytest.mark.parametrize("page", documents.PAGES)
def test_no_command_is_shown_in_another_way(page):
    assert not documents.indented(documents.text_of(page))
    for block in documents.blocks(page):
        if block.language not in documents.COMMANDS:
            assert block.language in documents.OUTPUT or (not block.language and block.text.startswith("$ ")), str(block)


def test_blocks_are_found():
    page = "# A\n\n<!-- test: run -->\n```sh\nls  # all\n```\n\n- item\n\n  ```sh\n  make a && x=1 cd 'b c' | wc\n  ```\n\ntext\n\n    ls\n"
    first, second = documents.blocks("page.md", page)
    assert (first.declared, first.section, first.line, first.text) == ("run", "A", 4, "ls  # all\n")
    assert second.declared is None and second.text == "make a && x=1 cd 'b c' | wc\n"
    assert documents.commands(first.text + second.text) == [["ls"], ["make", "a"], ["x=1", "cd", "b c"], ["wc"]]
    assert documents.indented(page) == ["    ls"]
    assert documents.commands("a \\\n  b") == [["a", "b"]]


@pytest.mark.parametrize(
    "command", ["snakemake no_such_target", "dvc repro --forse", "make nothing", "python stages/sdtt.py --rounds 1", "imdm shw", "curl x"]
)
def test_a_wrong_command_is_noticed(command, project, monkeypatch):
    monkeypatch.chdir(project)
    with pytest.raises((AssertionError, SystemExit, DvcParserError)):
        dry(command.split(), project)
