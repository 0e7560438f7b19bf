# Everything that an experiment declares, in parallel: `snakemake --cores 2 all`, or `snakemake --profile slurm all`.
# Another experiment: `snakemake all --cores 2 --configfile presets/lm1b.yaml`; one value: `--config noise_dim=64`.
from snakemake.utils import min_version

min_version("9.27")


# exec: a job's SIGTERM reaches the stage, and Snakemake waits until the stage has saved.
shell.prefix("exec ")


configfile: "params.yaml"


include: "workflow/rules/common.smk"


pathvars:
    data=f"data/{PARAMS.corpus.name}-{PARAMS.corpus.packing}-{PARAMS.corpus.seq_len}",
    results=f"results/{PARAMS.run}",
    logs=f"logs/{PARAMS.run}",
    benchmarks=f"logs/{PARAMS.run}/benchmarks",
    couplings_shard=shard_of("couplings"),
    samples_shard=shard_of("samples"),


report: "workflow/report/workflow.rst"


localrules:
    all,
    paper,
    tabulate,
    plot,
    exhibit_table,
    exhibit_figure,
    exhibit_page,
    report,
    paper_report,


wildcard_constraints:
    variant=VARIANT,
    recipe=RECIPES,
    name=alternatives(PARAMS.public),
    round=r"[1-9]\d*",
    shard=r"[1-9]\d*",
    teacher=rf"{TEACHER}|({VARIANT})/sdtt[1-9]\d*",
    model=rf"{TEACHER}|({VARIANT}|{PUBLIC})/({RECIPES}|{alternatives(PARAMS.public)})",


# The tables hold every model of compare.recipes and compare.also, so this samples and scores them all.
rule all:
    default_target: True
    input:
        "<results>/tables/tables.csv",
        "<results>/figures/figure02.png",
        "<results>/report.html",


# Every table and figure of the paper that paper.exhibits lists, and a report that shows them.
rule paper:
    input:
        "<results>/paper.html",


include: "workflow/rules/data.smk"
include: "workflow/rules/teacher.smk"
include: "workflow/rules/students.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/merge.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/report.smk"
