# The experiment's parameters, and what the rules ask of them.
import glob
import json
import re
import shlex
import sys
from pathlib import Path

from snakemake.caching import LOCATION_ENVVAR
from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "src"))
from imdm.stage.artifact import sha256
from imdm.errors import UserError
from imdm.exhibits.plan import PAGES, TEACHER, needs, target
from imdm.exhibits.tables import describe
from imdm.stage.job import LIBRARIES, code_digest, library_version
from imdm.stage.reads import declared, resolve
from imdm.params import PUBLIC, RECIPES, REPLICATE, UNRECTIFIED, load_params, parse_recipe
from imdm.report.names import MAIN


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

# Snakemake itself notices after a training that it can't keep it.
CACHE = os.environ.get(LOCATION_ENVVAR)
if workflow.workflow_settings.cache is not None and not (CACHE and os.access(CACHE, os.W_OK)):
    raise WorkflowError(f"--cache needs a folder that can be written: create one and name it in {LOCATION_ENVVAR}.")

OPTIONS = "".join(f" --set {shlex.quote(item)}" for item in SETS)
if FILE.resolve() != Path("params.yaml").resolve():
    OPTIONS = f" --params {shlex.quote(os.path.relpath(FILE))}{OPTIONS}"


# The exhibits that stand alone; tabulate and plot make the others.
EXHIBITS = [*(f"table{number:02}" for number in range(1, 15)), *(f"figure{number:02}" for number in range(2, 14))]
EXHIBITS = [name for name in EXHIBITS if name not in MAIN]
# What tabulate and plot make besides tables.csv and Figure 2, with its labels in Snakemake's report.
TABLES = {
    "table01": {"file": "Table 01", "shows": "Synthetic task"},
    "table02": {"file": "Table 02", "shows": "Synthetic task, the noise held"},
    "table04": {"file": "Table 04", "shows": "Gen-PPL"},
    "table05": {"file": "Table 05", "shows": "Entropy"},
    "frontier": {"file": "Frontier", "shows": "Gen-PPL at equal entropy"},
    "audit": {"file": "Audit", "shows": "what samples share with couplings and training text"},
    "agreement": {"file": "Audit, pairs", "shows": "what models know of seen and unseen pairs"},
    "dictionary": {"file": "Dictionary task", "shows": "validity, coverage and errors by size"},
    "chain": {"file": "Markov chain task", "shows": "distance from the data by steps"},
    "factorization": {"file": "Factorization error", "shows": "conditional total correlation"},
}
FIGURES = {
    "frontier": {"file": "Frontier", "shows": "Gen-PPL against entropy"},
    "training": {"file": "Training", "shows": "losses"},
    "dictionary": {"file": "Dictionary task", "shows": "validity by number of words"},
    "chain": {"file": "Markov chain task", "shows": "bigram KL and NLL by steps"},
    "factorization": {"file": "Factorization error", "shows": "conditional total correlation by steps"},
}


class Unkeyed(dict):
    """Text that a command shows and the cache between workflows leaves out of its key, the JSON of all params."""

    def __init__(self, text):
        self.text = str(text)

    def __str__(self):
        return self.text


def options(wildcards, output):
    """Options of every command that name the parameters. Asking for `output` keeps them from triggering a rerun."""
    return Unkeyed(OPTIONS)


def folder(wildcards, output):
    """A params function: the folder of a cached rule's outputs, which differs between the runs that share them."""
    return Unkeyed(Path(output[0]).parent)


def reads(stage):
    """A params function: what `stage` reads of the parameters, so that a change of it (no other) triggers a rerun."""
    keys = declared(Path(workflow.basedir) / f"stages/{stage}.py")
    return lambda wildcards: json.dumps(resolve(PARAMS, keys, wildcards.get("variant")), sort_keys=True)


def local_files(where):
    """Path, size and time of the files that a parameter names outside the graph: by a file, a folder or a pattern, not on a hub."""
    found = [Path(name) for name in glob.glob(os.path.expanduser(where or ""), recursive=True)]
    files = sorted({file for path in found for file in (path, *path.rglob("*")) if file.is_file()})
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def content(stage, outside=None):
    """A params function: what makes a cached artifact what it is, besides what `reads` has. It is in the cache's key alone.

    Snakemake's own key has no library code and knows the inputs by how they were made. Asking for `output` keeps an edit of
    the code from triggering a rerun; without a cache there is nothing to compute.
    """

    def found(wildcards, input, output):
        if CACHE is None:
            return None
        return {
            "code": code_digest(Path(workflow.basedir) / f"stages/{stage}.py"),
            "libraries": [sys.version, *map(library_version, LIBRARIES)],
            "runtime": [PARAMS.runtime.device, PARAMS.runtime.precision, PARAMS.runtime.compile],
            "inputs": [sha256(file) for file in input],
            "outside": local_files(outside),
        }

    return found


def alternatives(names):
    """A wildcard constraint: one of `names`."""
    return "|".join(map(re.escape, names)) or "(?!)"


# A variant, or its replicate with another training seed.
VARIANT = rf"({alternatives(PARAMS.variants)})({REPLICATE})?"


def model_file(model):
    """The weights of `teacher`, VARIANT/RECIPE or public/NAME; a variant's own teacher is VARIANT/teacher."""
    return "<results>/teacher/model.safetensors" if model == TEACHER else f"<results>/models/{model}/model.safetensors"


def judge_weights():
    """The files of a trained judge besides judge.json, by the name of the output; a loaded judge's stay where they are."""
    files = {"model": "model.safetensors", "network": "config.json", "tokenizer": "tokenizer.json"}
    return {name: f"<results>/judge/{file}" for name, file in files.items()} if PARAMS.judge.stage == "train_judge" else {}


def sdtt_teacher(wildcards):
    """The model that teaches an SDTT round: the adopted teacher, then the student of the round before."""
    return model_file(f"{wildcards.variant}/{parse_recipe(f'sdtt{wildcards.round}').parent}")


def keyed_teacher(wildcards):
    """The model that teaches a keyed distillation: the adopted teacher, or the last SDTT student."""
    return model_file(f"{wildcards.variant}/{parse_recipe(f'{wildcards.before}keyed').parent}")


def di4c_teacher(wildcards):
    """The model that teaches a Di4C round: the recipe before it, then the mixture of the round before."""
    return model_file(f"{wildcards.variant}/{parse_recipe(f'{wildcards.before}di4c{wildcards.round}').parent}")


def all_models():
    """Every declared VARIANT/RECIPE of the comparison, as `tabulate` shows them; the teacher comes first."""
    return [TEACHER, *map("/".join, PARAMS.models())]


def factorized_models():
    """Those of `all_models` that have a factorization error."""
    return [TEACHER, *map("/".join, PARAMS.factorized())]


def dvc_models():
    """Every VARIANT/RECIPE that dvc.yaml trains, compared or not."""
    rounds = [f"sdtt{item.round}" for item in PARAMS.sdtt.rounds]
    recipes = [*rounds, "redi", *(f"{student}-redi" for student in PARAMS.compare.rectified)]
    found = [f"{variant}/{recipe}" for variant in PARAMS.compare.variants for recipe in recipes]
    return [*found, *(f"{variant}/keyed" for variant in PARAMS.compare.keyed)]


def training_logs():
    """The logs of the teacher, the judge and every training behind the comparison."""
    trained = {}
    for model in all_models()[1:]:
        variant, name = model.split("/")
        recipe = parse_recipe(name)
        trained |= dict.fromkeys(f"{variant}/{step}" for step in (recipe.trained() if recipe else []))
    logs = [f"<results>/models/{model}/train_log.csv" for model in sorted(trained)]
    return ["<results>/teacher/train_log.csv", "<results>/judge/train_log.csv", *logs]


def shard_of(kind):
    """What a shard's folders of output and logs are called after the kind; nothing where one job does it all."""
    number = vars(PARAMS.shards)[kind]
    return "" if number == 1 else f"-{{shard}}-of-{number}"


def shard(kind):
    """A params function: the option --shard, where there are several."""
    return lambda wildcards: f" --shard {wildcards.shard}/{vars(PARAMS.shards)[kind]}" if shard_of(kind) else ""


def shards(kind, file):
    """An input function: every shard of an artifact, for `merge`."""
    number = vars(PARAMS.shards)[kind]
    return lambda wildcards: [file.format(shard=f"{index}-of-{number}", **wildcards) for index in range(1, number + 1)]


def exhibit_inputs(wildcards):
    """The files that a table or figure of the paper needs."""
    return [f"<results>/{file}" for file in needs(PARAMS, wildcards.exhibit).files()]


def exhibit_labels(wildcards):
    """What Snakemake's report calls an exhibit: table09 is Table 09, with its title."""
    name = wildcards.exhibit
    labels = {"file": f"{name[:-2].capitalize()} {name[-2:]}"}
    return labels | {"shows": describe(PARAMS, name).title} if name.startswith("table") else labels
