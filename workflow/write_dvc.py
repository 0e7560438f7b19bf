"""Writes dvc.yaml from the Snakefile: `python workflow/write_dvc.py`, a part of `make docs`.

The stages are the jobs of `snakemake all` for params.yaml. Write it again after a change of what decides which jobs there are
(compare, variants' names, sdtt.rounds, judge.stage, teacher.stage); all other parameters are DVC's to vary.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "workflow")]

from graph import Job, jobs  # noqa: E402

from imdm.params import Params, load_params  # noqa: E402
from imdm.results import plan  # noqa: E402
from imdm.stage.reads import declared, keys  # noqa: E402

HEADER = """# Written from the Snakefile by `make docs`; a test fails where the two differ. One experiment on this machine: `dvc repro`,
# or a variation of it: `dvc exp run -S noise_dim=64`.
"""


def document(project: Path = ROOT) -> str:
    """The file, for the params.yaml of a project."""
    params = load_params(project / "params.yaml")
    stages: dict[str, dict] = {}
    for job in jobs(project, "all"):
        name = stage_name(job)
        if name in stages:
            raise SystemExit(f"two jobs are called {name}; rename a variant.")
        stages[name] = stage(job, project) | {"cmd": placed(job.command, params, "{run}", "{corpus}")}
    tree = {"stages": dict(sorted(stages.items())), "plots": plots(params), "artifacts": artifacts(params.paper.student)}
    text = yaml.safe_dump(tree, sort_keys=False, width=10_000)
    return HEADER + placed(text, params, "${run}", "${corpus.name}-${corpus.packing}-${corpus.seq_len}")


def placed(text: str, params: Params, run: str, corpus: str) -> str:
    """A text with other names of the run's and the corpus's folders.

    DVC puts a parameter into a command as it stands, for a shell, before any of the project's code could check it. So commands have
    {run} and {corpus}, which the stage itself replaces when it has checked the parameters, and DVC's own ${...} is in paths alone.
    """
    text = re.sub(rf"data/{re.escape(params.corpus.folder)}(?=[/\s]|$)", f"data/{corpus}", text)
    return re.sub(rf"results/{re.escape(params.run)}(?=[/\s]|$)", f"results/{run}", text)


def stage_name(job: Job) -> str:
    """STAGE, STAGE-MODEL or STAGE-KIND-MODEL of a job for one model, or exhibit-FOLDER-NAME; DVC's names have no slash and no dot."""
    parts = Path(job.out).parts[2:]
    if job.stage == "exhibit":
        return "-".join([job.stage, parts[0], Path(parts[1]).stem])
    kind = [plan.DILATED] * (parts[:1] == (plan.DILATED,))
    parts = parts[len(kind) :]
    model = [*kind, *parts[1:]] if parts and parts[0] in ("models", "couplings", "samples", "scores", "frontier") else []
    return "-".join([job.stage, *model]).replace(".", "_")


def stage(job: Job, project: Path) -> dict:
    """A job as DVC's stage."""
    metrics = [path for path in job.outputs if path.endswith("summary.json")]
    outs = {"outs": [path for path in job.outputs if path not in metrics], "metrics": metrics}
    read = keys(declared(project / f"stages/{job.stage}.py"), "variant" in job.arguments)
    tree = {"cmd": job.command, "params": read, "deps": sorted(set(job.inputs)), **outs}
    return {key: value for key, value in tree.items() if value}


def plots(params: Params) -> list[dict[str, dict]]:
    """What `dvc plots` draws: Gen-PPL by sampling steps, and the loss of every training."""
    by_steps = {f"results/{params.run}/tables/{plan.BY_STEPS}": plan.scored(params)}
    losses = {f"results/{params.run}/{log}": "loss" for log in plan.training_logs(params)}
    return [{"Gen-PPL": {"x": "steps", "y": by_steps}}, {"Training loss": {"x": "step", "y": losses}}]


def artifacts(student: str) -> dict[str, dict[str, str]]:
    """What others take from a run by name: `dvc artifacts get`."""
    models = {"teacher": "teacher", "student": student}
    of_models = {name: {"path": f"results/${{run}}/models/{model}/model.safetensors", "type": "model"} for name, model in models.items()}
    couplings = {"path": "results/${run}/couplings/teacher/couplings.safetensors", "type": "dataset"}
    return of_models | {"judge": {"path": "results/${run}/judge/judge.json", "type": "model"}, "couplings": couplings}


if __name__ == "__main__":
    (ROOT / "dvc.yaml").write_text(document(), encoding="utf-8")
