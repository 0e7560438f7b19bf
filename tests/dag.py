"""The two graphs, read from the tools that own them, and stages that cost nothing."""

from __future__ import annotations

import re
from pathlib import Path

from checkout import run

# A stage whose outputs depend on its inputs and, for adopt, on the mask settings of its variant.
STUB = """
import hashlib, json, pathlib, sys, time
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
out = words.pop("--out")
files = [file for word in words.values() for file in (pathlib.Path(word), *sorted(pathlib.Path(word).rglob("*"))) if file.is_file()]
state = [str(words), *(hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.name != "meta.json")]
if "--variant" in words:
    sys.path.insert(0, "src")
    from imdm.params import load_params
    settings = load_params("params.yaml").mask_settings(words["--variant"])
    state.append("" if settings.mask == "single" else str(settings))
for path in map(pathlib.Path, json.loads(pathlib.Path("outputs.json").read_text())[out]):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(time.time_ns()) if path.name == "meta.json" else json.dumps({"value": str(state)}))
"""


def dvc_stages(folder: Path) -> dict[str, dict[str, object]]:
    """The stages of dvc.yaml by command: name, inputs, outputs, parameters."""
    from dvc.repo import Repo

    with Repo(folder) as repo:
        stages = list(repo.index.stages)
    found = {}
    for stage in stages:
        files = [dep for dep in stage.deps if not hasattr(dep, "params")]
        keys = [key for dep in stage.deps if hasattr(dep, "params") for key in dep.params]
        found[stage.cmd] = {
            "name": stage.name,
            "inputs": {dep.def_path for dep in files},
            "outputs": {out.def_path for out in stage.outs},
            "params": set(keys),
        }
    return found


def snakemake_jobs(folder: Path, *arguments: str) -> dict[str, dict[str, object]]:
    """The jobs of a dry run by command, without its log redirection: rule, inputs, outputs."""
    text = run(folder, "snakemake", "-n", "-p", "--nocolor", "--nolock", *arguments)
    found = {}
    for block in re.split(r"(?m)^\[.*\]\n(?=(?:local)?rule )", text)[1:]:
        lines = dict(re.findall(r"(?m)^    (input|output|log): (.*)$", block))
        command = re.search(r"(?m)^Shell command: (.*)$", block)
        if command and command[1] != "None":
            found[command[1].removesuffix(f" > {lines['log']} 2>&1")] = {
                "name": re.match(r"(?:local)?rule (\w+):", block)[1],
                "inputs": set(lines["input"].split(", ")) if "input" in lines else set(),
                "outputs": set(lines["output"].split(", ")),
            }
    return found


def covers(path: str, files: set[str]) -> bool:
    """Whether `path` is one of `files` or a folder that holds one."""
    return any(file == path or file.startswith(f"{path}/") for file in files)
