"""The two graphs, read from the tools that own them, and stages that cost nothing."""

from __future__ import annotations

import json
from pathlib import Path

import graph

from checkout import ROOT
from imdm.params import load_params
from imdm.stage.reads import of_stages

# A stage whose outputs depend on its inputs and, with --variant, on the mask settings of its variant.
STUB = """
import hashlib, json, pathlib, sys, time
if "{run}" in str(sys.argv):  # a command of dvc.yaml
    sys.path.insert(0, "src")
    from imdm.params import load_params
    params = load_params("params.yaml")
    sys.argv = [word.replace("{run}", params.run).replace("{corpus}", params.corpus.folder) for word in sys.argv]
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
out = words.pop("--out")
words.pop("--results", None)  # a folder that other jobs write to
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


def stub(project: Path, *targets: str, runs: tuple[str, ...] = ()) -> None:
    """Replace a clone's stages by stubs, which write what the real ones would for some targets.

    Args:
        runs: further runs that they write for, besides the one of params.yaml.
    """
    jobs = graph.jobs(project, *targets)
    outputs = {job.out: sorted(job.outputs) for job in jobs}
    own = next(job.out for job in jobs if job.out.startswith("results/")).split("/")[1]
    trees = [json.loads(json.dumps(outputs).replace(f"results/{own}/", f"results/{name}/")) for name in (own, *runs)]
    (project / "outputs.json").write_text(json.dumps({out: files for tree in trees for out, files in tree.items()}))
    for stage in of_stages(ROOT / "stages"):
        (project / f"stages/{stage}.py").write_text(f"READS = {of_stages(ROOT / 'stages')[stage]!r}\n{STUB}")


def dvc_stages(folder: Path) -> dict[str, dict[str, object]]:
    """The stages of dvc.yaml by command, as the stage will read it: name, inputs, outputs, parameters."""
    from dvc.repo import Repo

    params = load_params(folder / "params.yaml")

    with Repo(folder) as repo:
        stages = list(repo.index.stages)
    found = {}
    for stage in stages:
        files = [dep for dep in stage.deps if not hasattr(dep, "params")]
        keys = [key for dep in stage.deps if hasattr(dep, "params") for key in dep.params]
        found[stage.cmd.replace("{run}", params.run).replace("{corpus}", params.corpus.folder)] = {
            "name": stage.name,
            "inputs": {dep.def_path for dep in files},
            "outputs": {out.def_path for out in stage.outs},
            "params": set(keys),
        }
    return found
