# The experiment's parameters, and what the rules ask of them.
import difflib
import functools
import glob
import json
import re
import shlex
import sys
from pathlib import Path

from snakemake.caching import LOCATION_ENVVAR
from snakemake.exceptions import WorkflowError
from snakemake.io import apply_wildcards

# Where stages and library lie: in the folder of these rules, which another folder's `module:` may name, or, for rules of a repository
# elsewhere, in the installed package.
HERE = workflow.current_basedir
if HERE.is_local:
    PROJECT = Path(HERE.get_path_or_uri(secret_free=True)).parents[1]
    sys.path.insert(0, str(PROJECT / "src"))
    STAGES = PROJECT / "stages"
else:
    import imdm

    STAGES = Path(imdm.__file__).with_name("_stages")

from imdm.cost.request import Requests
from imdm.errors import UserError
from imdm.params import EXTERNAL, PUBLIC, RECIPES, REPLICATE, TEACHER, couplings_of, load_params, parent, resolved_yaml
from imdm.params.load import BASE
from imdm.params.names import ORACLE
from imdm.results import plan
from imdm.stage.artifact import sha256
from imdm.stage.job import LIBRARIES, code_digest, library_version
from imdm.stage.reads import declared, of_stages, resolve
from imdm.writing import whole

# Read by the library, which checks them. The words of --config are the stages' --set: Snakemake makes texts of the numbers in `{rounds: 2}`.
OWN = Path("params.yaml")
FILES = workflow.config_settings.configfiles or [OWN if OWN.is_file() else BASE]
SETS = workflow.config_settings.config_args or []
if workflow.modifier.skip_configfile:  # the `config:` of a module, which has them all; stages read a file
    FILES, SETS = [Path(f".snakemake/{workflow.modifier.namespace}.yaml")], []
    FILES[0].parent.mkdir(exist_ok=True)
    with whole(FILES[0]) as beside:
        beside.write_text(json.dumps(config, default=str), encoding="utf-8")
try:
    PARAMS = load_params(FILES, SETS)
except UserError as error:
    raise WorkflowError(str(error))

# Without it the graph has no such model.
SAMPLES = {name: os.path.expanduser(entry.samples) for name, entry in PARAMS.external.items()}
for name, path in SAMPLES.items():
    if not os.path.isfile(path):
        raise WorkflowError(f"external.{name}.samples: there is no file {path}; correct the path.")

# Snakemake itself notices after a training that it can't keep it.
CACHE = os.environ.get(LOCATION_ENVVAR)
if workflow.workflow_settings.cache is not None and not (CACHE and os.access(CACHE, os.W_OK)):
    raise WorkflowError(f"--cache needs a folder that can be written: create one and name it in {LOCATION_ENVVAR}.")

OPTIONS = "".join(f" --set {shlex.quote(item)}" for item in SETS)
if [file.resolve() for file in FILES] != [OWN.resolve()]:
    OPTIONS = f" --params {' '.join(shlex.quote(os.path.relpath(file)) for file in FILES)}{OPTIONS}"


def alternatives(names):
    """A wildcard constraint: one of `names`."""
    return "|".join(map(re.escape, names)) or "(?!)"


VARIANT = rf"({alternatives(PARAMS.variants)})({REPLICATE})?"
PUBLIC_MODEL = rf"{PUBLIC}/({alternatives(PARAMS.public)})"
EXTERNAL_NAME = alternatives(PARAMS.external)
AT = r"at[1-9]\d*/"  # samples at one step count
HOW = rf"{plan.DILATED}/|{AT}"  # or with other positions in each step
MODEL = rf"{TEACHER}|{ORACLE}|{VARIANT}/({RECIPES}|{TEACHER})|{PUBLIC_MODEL}"


class Unkeyed(dict):
    """Text that a command shows and the cache between workflows leaves out of its key, the JSON of all params."""

    def __init__(self, text):
        self.text = str(text)

    def __str__(self):
        return self.text


def stage(words):
    """The command of a rule: a stage's script and its own arguments."""
    script = shlex.quote(os.path.relpath(STAGES)).replace("{", "{{").replace("}", "}}")
    # exec: a job's SIGTERM reaches the stage, and Snakemake waits until the stage has saved.
    return f"exec {{params.launch}}python {script}/{words} --out {{params.out}}{{params.options}} > {{log}} 2>&1"


def about(name, outside=None, file=False, **more):
    """What a job of the stage `name` has as params: what starts it, its output, the options of every command, and what it depends on.

    Asking for `output` keeps a params function from triggering a rerun.

    Args:
        outside: what a parameter names outside the graph.
        file: whether --out is the rule's named output `main`, and not the folder of its outputs.
        more: further params.
    """
    script = STAGES / f"{name}.py"
    keys = declared(script)

    def launch(wildcards, output, resources):
        """Several nodes: one process a GPU, that end together and wait for the first, which has more to do after the training."""
        if "mpi" not in resources.keys():
            return Unkeyed("")
        each = f"--nodes={resources.nodes} --ntasks-per-node={resources.tasks // resources.nodes} --cpus-per-task={resources.cpus_per_task}"
        return Unkeyed(f"{resources.mpi} {each} --kill-on-bad-exit=1 --wait=0 ")

    def out(wildcards, output):
        return Unkeyed(output.main if file else Path(output[0]).parent)

    def options(wildcards, output):
        return Unkeyed(OPTIONS)

    def reads(wildcards):
        """What the stage reads of the parameters, so that a change of it, and no other, triggers a rerun."""
        variant = wildcards.get("variant") or wildcards.get("model", "").rpartition("/")[0].removeprefix(PUBLIC)
        return json.dumps(resolve(PARAMS, keys, variant or None), sort_keys=True)

    def content(wildcards, input, output):
        """What makes a cached artifact what it is besides `reads`, in the cache's key alone; Snakemake's own key has no library code."""
        if CACHE is None:
            return None
        return {
            "code": code_digest(script),
            "libraries": [sys.version, *map(library_version, LIBRARIES)],
            "runtime": [PARAMS.runtime.device, PARAMS.runtime.precision, PARAMS.runtime.compile],
            "inputs": [sha256(file) for file in input],
            "outside": local_files(outside),
        }

    return {"launch": launch, "out": out, "reads": reads, "content": content, "options": options} | more


def local_files(where):
    """Path, size and time of the files that a parameter names outside the graph: by a file, a folder or a pattern, not on a hub."""
    named = [Path(name) for name in glob.glob(os.path.expanduser(where or ""), recursive=True)]
    files = sorted({file for path in named for file in (path, *path.rglob("*")) if file.is_file()})
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def artifact(folder, *files):
    """A rule's outputs: the files of a folder and its meta.json, each by its name without the suffix."""
    return {Path(file).stem: f"{folder}/{file}" for file in (*files, "meta.json")}


def trained(folder, *files):
    """The outputs of a training."""
    return artifact(folder, "model.safetensors", *files, "train_log.csv")


def judge_files():
    """The files of a trained judge lie beside judge.json; a loaded judge's stay where they are."""
    weights = ["model.safetensors", "config.json", "tokenizer.json"] if PARAMS.judge.stage == "train_judge" else []
    return ["judge.json", *weights, "train_log.csv"]


def checked(model):
    """A model's name; one that the parameters make no model of ends Snakemake with one sentence."""
    try:
        PARAMS.check_model(model)
    except UserError as error:
        raise WorkflowError(f"there is no model {error}")
    return model


SITE = ("slurm_partition", "gpu_partition", "gpu_type", "longest", "slurm_extra")  # default-resources of the Slurm profile


# What is asked for, before the graph is built: there Snakemake would only find that no job makes the file.
KINDS = "models|couplings|samples|scores|frontier|audit|factorization"
for word in sys.argv[1:]:
    named = re.match(rf"results/{PARAMS.run}/(?:conditional/|matched/|{HOW})?(?:{KINDS})/(.+)/", word)
    if named:
        checked(named[1])


def weights(model):
    """The weights of `teacher`, VARIANT/RECIPE or public/NAME."""
    return f"<results>/models/{checked(model)}/model.safetensors"


def parent_of(wildcards):
    """An input function: the weights that a training starts from, and learns from."""
    return weights(parent(checked(f"{wildcards.variant}/{wildcards.recipe}")))


def couplings(wildcards):
    """An input function: the couplings that a model is rectified on."""
    return f"<results>/couplings/{couplings_of(checked(f'{wildcards.variant}/{wildcards.recipe}'))}/couplings.safetensors"


def audited_pairs(wildcards):
    """An input function: of a rectified model, its couplings and the model that made them."""
    teacher = couplings_of(wildcards.model)
    return {} if teacher is None else {"couplings": f"<results>/couplings/{teacher}/couplings.safetensors", "teacher": weights(teacher)}


def shards(kind):
    """Into how many jobs the making of couplings or samples is divided."""
    return vars(PARAMS.shards)[kind]


def sharded(kind):
    """What a shard's folders are called after the kind; nothing where one job does it all."""
    return f"-{{shard}}-of-{shards(kind)}" if shards(kind) > 1 else ""


def shard(kind):
    """A params function: the option --shard, where there are several."""
    return lambda wildcards: f" --shard {wildcards.shard}/{shards(kind)}" if shards(kind) > 1 else ""


def how_sampled(how):
    """The options of stage sample below `dilated/` and `atN/`."""
    if how == f"{plan.DILATED}/":
        return f" --unmasking {plan.DILATED}"
    return f" --steps {how[2:-1]}" if how else ""


def exhibit(folder, suffix):
    """An input function: what a table, figure or page of its own is made from."""
    return lambda wildcards: [f"<results>/{file}" for file in plan.files(PARAMS, f"{folder}/{wildcards.exhibit}.{suffix}")]


def shown(path, category, name=None):
    """An output in Snakemake's report, named by its file or by the wildcard `exhibit`."""

    def labels(wildcards):
        what = name or wildcards.exhibit
        number = re.fullmatch(r"(table|figure)(\d\d)", what)
        return {"file": f"{number[1].capitalize()} {number[2]}" if number else what.capitalize(), "shows": plan.title(what)}

    return report(path, category=category, labels=labels)


def furnish(staged):
    """Give every job its log, benchmark and environment, named after the first output."""
    place = re.sub(r"\{(\w+),[^{}]*\}", r"{\1}", str(staged.output[0])).removeprefix(f"results/{PARAMS.run}/")
    place = Path(place).with_suffix("") if "main" in staged.output.keys() else Path(place).parent
    staged.log_modifier = staged.benchmark_modifier = staged.output_modifier
    staged.set_log(f"logs/{PARAMS.run}/{place}.log")
    if CACHE is None:  # a rule with a benchmark is not cached
        staged.benchmark = f"logs/{PARAMS.run}/benchmarks/{place}.tsv"
    if staged.shellcmd and HERE.is_local:
        staged.conda_env = str(PROJECT / "environment.yml")


def site_of(resources):
    """What the profile's default-resources say of the site; a misspelt name ends Snakemake, which would take any."""
    for name in resources.keys():
        if name not in SITE and (meant := difflib.get_close_matches(name, SITE, n=1, cutoff=0.75)):
            raise WorkflowError(f"default-resources has no {name}; did you mean {meant[0]}?")
    site = {name: resources[name].raw for name in SITE if name in resources}
    if not str(site.get("longest", 0)).isdigit():
        raise WorkflowError(f"default-resources: longest must be whole minutes, such as 1440, not {site['longest']}.")
    return site


@functools.cache
def requests(gpu):
    """What jobs ask for, by the site's name of its GPU model."""
    return Requests(PARAMS, of_stages(STAGES), Path(), gpu)


def equip(staged):
    """Give every job memory, time, CPUs and GPUs by what it costs, within what the profile's default-resources say of the site.

    Memory grows with every retry, to three times as much, and time to the longest that the site allows.
    """
    stage = re.search(r"stages/(\w+)\.py", staged.shellcmd)[1]
    site = site_of(staged.resources)

    def ask(what):
        """A resource function; what it gives None for is not asked for."""

        def value(wildcards, attempt):
            out = Path(apply_wildcards(str(staged.output[0]), wildcards))
            out = out if "main" in staged.output.keys() else out.parent
            return what(requests(site.get("gpu_type", "")).of(stage, str(out), wildcards.get("model", "")), attempt)

        return value

    asked = {
        "mem_mb": lambda job, attempt: job.mem_mb * min(attempt, 3),
        "runtime": lambda job, attempt: min(job.minutes * attempt, int(site.get("longest", 10**6))),
        "cpus_per_task": lambda job, attempt: job.cpus,
        "accelerator": lambda job, attempt: job.gpus or None,
    }
    if "gpu_partition" in site:  # the Slurm profile
        kind = f"gpu:{site['gpu_type']}" if site.get("gpu_type") else "gpu"

        def extra(job, attempt):
            own = site.get("slurm_extra", "").strip("'\"")
            warning = "--signal=TERM@300" if job.training else ""
            geometry = f"--ntasks-per-node={job.tasks}" if job.nodes > 1 else ""
            return " ".join(filter(None, (own, warning, geometry))) or None

        asked |= {
            "slurm_partition": lambda job, attempt: site.get("gpu_partition" if job.gpus else "slurm_partition"),
            "gres": lambda job, attempt: f"{kind}:{job.gpus}" if job.gpus else None,
            "mpi": lambda job, attempt: "srun" if job.nodes > 1 else None,
            "nodes": lambda job, attempt: job.nodes if job.nodes > 1 else None,
            "tasks": lambda job, attempt: job.nodes * job.tasks if job.nodes > 1 else None,
            "tasks_per_gpu": lambda job, attempt: 0 if job.nodes > 1 else None,  # else the plugin asks for `tasks` a GPU
            "slurm_extra": extra,
        }
    staged.resources.update({name: ask(what) for name, what in asked.items()})
    staged.resources.update(workflow.resource_settings._parsed_overwrite_resources.get(staged.name, {}))  # --set-resources comes last
