# Everything that an experiment declares, in parallel: `snakemake --cores 2 all`, or `snakemake --profile slurm all`.
# Another experiment: `snakemake all --cores 2 --configfile presets/lm1b.yaml`; one value: `--config noise_dim=64`.
from snakemake.utils import min_version

min_version("9.27")


if Path("params.yaml").is_file():

    configfile: "params.yaml"


include: "workflow/rules/common.smk"


# For the first page of Snakemake's report: what the run says, where it says something already.
if "--report" in sys.argv and (answer := Path(f"results/{PARAMS.run}/report.summary.json")).is_file():
    from imdm.results.summary import verdict

    config["verdict"] = verdict(json.loads(answer.read_text(encoding="utf-8")))


pathvars:
    data=f"data/{PARAMS.corpus.folder}",
    results=f"results/{PARAMS.run}",
    couplings_shard=sharded("couplings"),
    samples_shard=sharded("samples"),


report: "workflow/report/workflow.rst"


localrules:
    all,
    extras,
    paper,
    scoreboard,
    parameters,
    tabulate,
    plot,
    exhibit_table,
    exhibit_figure,
    exhibit_page,
    report,


wildcard_constraints:
    variant=VARIANT,
    model=MODEL,
    shard=r"[1-9]\d*",


# The comparison: every model of `compare`, sampled and scored, its tables, figures and page.
rule all:
    default_target: True
    input:
        "<results>/params.yaml",
        "<results>/report.html",


onsuccess:
    if PARAMS.corpus.name == "language" and (made := Path(f"results/{PARAMS.run}/tables/language.md")).is_file():
        print(made.read_text(encoding="utf-8"))


# What lies beside it: memorization and factorization error.
rule extras:
    input:
        "<results>/extras.html",


# Every table and figure of the paper that paper.exhibits lists.
rule paper:
    input:
        "<results>/paper.html",


# The samples of other systems beside real text and controls: needs no model of ours.
rule scoreboard:
    input:
        "<results>/tables/scoreboard.csv",


include: "workflow/rules/data.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/samples.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/results.smk"


for staged in [entry for entry in workflow.modifier.rules if not entry.norun]:  # another folder's workflow may have rules of its own
    furnish(staged)
    if staged.shellcmd and "stages/" in staged.shellcmd:
        equip(staged)


# DVC's stages are those of params.yaml as it is, so there is nothing to register for another file or a value of --config.
if not OPTIONS and os.path.relpath(STAGES) == "stages":

    rule register:
        input:
            rules.all.input,
        output:
            touch(f"logs/{PARAMS.run}/registered"),
        log:
            f"logs/{PARAMS.run}/register.log",
        localrule: True
        conda:
            "environment.yml"
        params:
            folders=f"data results/{PARAMS.run}",
        shell:
            "python workflow/register.py {params.folders} > {log} 2>&1"
