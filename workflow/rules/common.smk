# The experiment's parameters, and what the rules ask of them.
import json
import re
import shlex
import sys
from argparse import Namespace
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "src"))
from imdm.errors import UserError
from imdm.job import resolve
from imdm.params import load_params, recipe_rounds


def overrides(tree, prefix=""):
    """`--config` as the stages' `--set`: key.sub=value strings."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from overrides(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={json.dumps(value)}"


# Not `config`: Snakemake merges --configfile into params.yaml, while an experiment is one file and no mixture.
SETTINGS = workflow.config_settings
FILE = SETTINGS.configfiles[-1] if SETTINGS.configfiles else Path("params.yaml")
SETS = list(overrides(SETTINGS.config))
try:
    PARAMS = load_params(FILE, SETS)
except UserError as error:
    raise WorkflowError(str(error))

OPTIONS = "".join(f" --set {shlex.quote(item)}" for item in SETS)
if FILE.resolve() != Path("params.yaml").resolve():
    OPTIONS = f" --params {shlex.quote(os.path.relpath(FILE))}{OPTIONS}"


def options(wildcards, output):
    """Options of every command that name the parameters. Asking for `output` keeps them from triggering a rerun."""
    return OPTIONS


def reads(stage):
    """A params function: what `stage` reads of the parameters, so that a change of it (no other) triggers a rerun."""
    return lambda wildcards: json.dumps(resolve(PARAMS, stage, Namespace(**dict(wildcards.items()))), sort_keys=True)


def teacher_of(wildcards):
    """The model that teaches an SDTT round: the adopted teacher, then the student of the round before."""
    number = int(wildcards.round)
    return f"<results>/models/{wildcards.variant}/{'teacher' if number == 1 else f'sdtt{number - 1}'}/model.safetensors"


def of_models(pattern):
    """`pattern` for the teacher and every declared VARIANT/RECIPE."""
    return [pattern.format(model=model) for model in ["teacher", *map("/".join, PARAMS.models())]]


def training_logs():
    """The logs of the teacher, the judge and every training behind a declared VARIANT/RECIPE."""
    models = set(PARAMS.models())
    models |= {(variant, f"sdtt{k}") for variant, recipe in models for k in range(1, 1 + recipe_rounds(recipe))}
    logs = [f"<results>/models/{variant}/{recipe}/train_log.csv" for variant, recipe in sorted(models)]
    return ["<results>/teacher/train_log.csv", "<results>/judge/train_log.csv", *logs]
