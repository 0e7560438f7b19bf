"""The embedded corpus: English prose that ships with every CPython.

Three sources, read without importing what they describe: the language reference that `help()` shows
(`pydoc_data.topics`, a module of data), the docstrings of the standard library, found with `ast`, and the
comments of two lines or more in its sources. The text is a function of the interpreter's version alone.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

from imdm.data.prose import prose
from imdm.errors import UserError

_SKIPPED = ("site-packages", "dist-packages", "test", "tests", "idle_test", "lib-dynload", "_bundled", "turtledemo", "encodings")
_MIN_CHARACTERS = 60
_MIN_DOCUMENTS = 500
_HEADING = re.compile(r"(?m)^(\S.*)\n([*=\-~^])\2{2,}$")
_ENTRY = re.compile(r"(?m)^(?:class |async |classmethod |coroutine )?[\w.]+\([^\n]*\)?$")


def documents() -> Iterator[str]:
    """Documents in a fixed order: topic sections by name, then for each source file its docstrings and comments.

    A document is one or more paragraphs with a blank line between; a paragraph that has occurred before is
    left out, and so is a document that is shorter than a sentence then.

    Raises:
        UserError: this interpreter came without its documentation or sources.
    """
    seen: set[str] = set()
    count = 0
    for text in _raw_texts():
        fresh = []
        for paragraph in prose(text):
            if (key := paragraph.lower()) not in seen:
                seen.add(key)
                fresh.append(paragraph)
        document = "\n\n".join(fresh)
        if len(document) >= _MIN_CHARACTERS:
            count += 1
            yield document
    if count < _MIN_DOCUMENTS:
        raise UserError(
            f"{sysconfig.get_path('stdlib')} holds only {count} documents, so this Python came without its documentation or sources; "
            "install a full CPython, or set corpus.name: files."
        )


def _raw_texts() -> Iterator[str]:
    """Raw texts: sections of the language reference, then docstrings."""
    try:
        topics = importlib.import_module("pydoc_data.topics").topics
    except ImportError:
        topics = {}
    for name in sorted(topics):
        yield from _sections(topics[name])
    for path in _source_files(Path(sysconfig.get_path("stdlib"))):
        try:
            code = path.read_bytes()
        except OSError:
            continue
        yield from _docstrings(code)
        yield from _comments(code)


def _source_files(library: Path) -> list[Path]:
    """Python files of the standard library, in an order that no file system changes."""
    files: list[Path] = []
    for folder, below, names in os.walk(library):
        below[:] = [name for name in below if name not in _SKIPPED and not name.startswith("config-")]
        files += [Path(folder, name) for name in names if name.endswith(".py")]
    return sorted(files, key=lambda path: path.relative_to(library).parts)


def _sections(topic: str) -> Iterator[str]:
    """A topic cut at its headings and at the signatures of what it describes."""
    topic = topic.replace("\r\n", "\n")
    cuts = sorted({match.start() for pattern in (_HEADING, _ENTRY) for match in pattern.finditer(topic)} | {0, len(topic)})
    for start, end in zip(cuts, cuts[1:], strict=False):
        yield topic[start:end]


def _docstrings(code: bytes) -> Iterator[str]:
    """Docstrings of a source file, in the order of their lines; none of a file that isn't valid Python."""
    try:
        with warnings.catch_warnings(action="ignore"):  # old escapes in the file are not the user's business
            tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return
    yield from _holders(tree)


def _holders(node: ast.AST) -> Iterator[str]:
    """Docstrings of `node` and of the definitions below it; visits statements only, which is most of the speed."""
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        yield ast.get_docstring(node) or ""
    for field in ("body", "handlers", "orelse", "finalbody", "cases"):
        children = getattr(node, field, [])
        for child in children if isinstance(children, list) else []:
            yield from _holders(child)


def _comments(code: bytes) -> Iterator[str]:
    """Blocks of at least two successive comment lines, without their marks."""
    block: list[str] = []
    for line in [*code.decode("utf-8", errors="replace").splitlines(), ""]:
        comment = line.strip()
        if comment.startswith("#"):
            block.append(comment.lstrip("#"))
            continue
        if len(block) > 1:
            yield inspect.cleandoc("\n".join(["", *block]))
        block.clear()
