"""Draws docs/architecture.md from the code: `python docs/architecture.py`.

The stages are drawn from Snakemake's rule graph, the library from its imports. LAYERS is the one list that says which
part of the library may import which; tests/workflow/test_architecture.py holds the code to it.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "workflow"))

from graph import snakemake  # noqa: E402

PAGE = "docs/architecture.md"
Graph = dict[str, set[str]]  # a node, and what it points to

# From the bottom up. A package or module of src/imdm imports from the lines above its own, never from its own line.
LAYERS = (
    ("errors", "writing"),
    ("files",),
    ("params", "diffusion"),
    ("languages",),
    ("network",),
    ("stage",),
    ("data",),
    ("publish", "sampling", "scoring"),
    ("factorization", "training"),
    ("distill",),
    ("synthetic", "audit"),
    ("results",),
    ("cost", "play"),
    ("cli",),
)

TARGETS = {
    "all": "What `snakemake all` and `dvc repro` run, the comparison",
    "extras": "What `snakemake extras` runs: memorization and factorization error beside it",
    "paper": "What `snakemake paper` runs: every table and figure of the paper",
}
_TEXT = """# Architecture

To find where something happens, follow an arrow to its stage or its part of the library. The pictures and tables are drawn from the code
by `make docs`; a test fails where the two differ. An arrow that follows from others is left out.

A stage is a script in `stages/`: arguments and files, no method. `src/imdm/stage/job.py` is around every one: it checks the inputs'
digests, hands over the parameters, and puts the output in place when all of it is there, with a `meta.json`. Stages meet in files alone.
The library in `src/imdm/` knows nothing of stages, Snakemake or DVC.

The graph is written once, in `Snakefile` and `workflow/rules/`. A model is `results/RUN/models/NAME/`, and NAME says what it is made from:
`teacher`, `oracle`, `VARIANT/RECIPE` or `public/NAME` (`src/imdm/params/names.py`); rules take their inputs by functions of the name
(`workflow/rules/common.smk`). `READS` in a stage's script says which parameters it reads. From both follow Snakemake's reruns, the cache's
keys, `dvc.yaml` (`workflow/write_dvc.py` writes it from the dry run) and the preflight's jobs (`workflow/graph.py`).
"""
_MODULES = """## The library

Each line of the list imports from the lines above it and never from its own, so there are no circles. The list is `LAYERS` in
`docs/architecture.py`; `tests/workflow/test_architecture.py` holds every import to it, also those inside functions.
"""
_STAGES = """## Stages and what they use

Parameters are those that the stage reads, and no other reaches its output (`READS` in its script); `mask_settings` are those of the
variant that it makes.
"""


def imports(file: Path) -> set[str]:
    """Every module of the library that a file imports, inside functions too, as `imdm.package.module`."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if _is_module(name) else node.module for name in names}
    return {name for name in found if name.startswith("imdm.")}


def _is_module(name: str) -> bool:
    path = ROOT / "src" / Path(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def module_graph() -> Graph:
    """Every module of the library and the modules that it imports."""
    files = sorted((ROOT / "src/imdm").rglob("*.py"))
    named = {".".join(file.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__"): file for file in files}
    return {name: imports(file) - {name} for name, file in named.items() if name != "imdm"}


def package_graph() -> Graph:
    """The same between the library's packages and single modules, those of LAYERS."""
    graph: Graph = {}
    for name, imported in module_graph().items():
        package = name.split(".")[1]
        graph.setdefault(package, set()).update({other.split(".")[1] for other in imported} - {package})
    return graph


def rule_graph(target: str) -> Graph:
    """Snakemake's rules behind a target, each with the rules that use its output."""
    options = ["--nolock", "--workflow-profile=none", "--forceall", "--rulegraph", "mermaid-js"]
    done = snakemake(ROOT, *options, "--", target)
    done.check_returncode()
    names = dict(re.findall(r"(id\d+)\[(\w+)\]", done.stdout))
    graph: Graph = {name: set() for name in names.values()}
    for source, user in re.findall(r"(id\d+) --> (id\d+)", done.stdout):
        graph[names[source]].add(names[user])
    return graph


def reached(graph: Graph, node: str) -> set[str]:
    """What a node's arrows lead to, in any number of steps."""
    seen, todo = set(), [node]
    while todo:
        fresh = graph.get(todo.pop(), set()) - seen
        seen |= fresh
        todo += fresh
    return seen


def reduced(graph: Graph) -> Graph:
    """Without the arrows that follow from others; those of a circle, as of score and match_entropy, all stay."""
    behind = {node: reached(graph, node) for node in graph}

    def circle(one: str, other: str) -> bool:
        return one == other or (one in behind[other] and other in behind[one])

    def follows(node: str, user: str) -> bool:
        ways = {other for start in graph if circle(start, node) for other in graph[start]}
        return any(user in behind[way] and not circle(way, node) and not circle(way, user) for way in ways)

    return {node: {user for user in users if circle(node, user) or not follows(node, user)} for node, users in graph.items()}


def mermaid(graph: Graph, direction: str) -> str:
    """A Mermaid flow chart, the same text for the same graph."""
    edges = [f"    {node} --> {other}" for node, others in sorted(reduced(graph).items()) for other in sorted(others)]
    return "\n".join(["```mermaid", f"flowchart {direction}", *edges, "```"])


def first_sentence(file: Path) -> str:
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0].rstrip(".")


def document() -> str:
    """The page."""
    sys.path.insert(0, str(ROOT / "src"))
    from imdm.stage.reads import of_stages

    parts = [_TEXT, "## The rules\n"]
    for target, words in TARGETS.items():
        parts += [f"{words}:\n", mermaid(rule_graph(target), "TB"), ""]
    parts += [_MODULES, mermaid(package_graph(), "BT"), "", "| layer | part | what |", "|---|---|---|"]
    for number, layer in enumerate(LAYERS, 1):
        for name in layer:
            folder = ROOT / "src/imdm" / name
            file, link = (folder / "__init__.py", f"{name}/") if folder.is_dir() else (folder.with_suffix(".py"), f"{name}.py")
            parts.append(f"| {number} | [`{name}`](../src/imdm/{link}) | {first_sentence(file)} |")
    parts += ["", _STAGES, "| stage | what | parts of the library | parameters |", "|---|---|---|---|"]
    for file in sorted((ROOT / "stages").glob("[!_]*.py")):
        used = ", ".join(sorted({name.split(".")[1] for name in imports(file)} - {"job"}))
        keys = ", ".join(f"`{key}`" for key in of_stages(ROOT / "stages").get(file.stem, ())) or "–"
        parts.append(f"| [`{file.stem}`](../stages/{file.name}) | {first_sentence(file)} | {used} | {keys} |")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    (ROOT / PAGE).write_text(document(), encoding="utf-8")
