# Everything that an experiment declares, in parallel: `snakemake --cores 2 all`, or `snakemake --profile slurm all`.
# Another experiment: `snakemake --cores 2 --configfile presets/lm1b.yaml all`; one value: `--config noise_dim=64`.
from snakemake.utils import min_version

min_version("9.27")


configfile: "params.yaml"


include: "workflow/rules/common.smk"


pathvars:
    data=f"data/{PARAMS.corpus.name}",
    results=f"results/{PARAMS.run}",
    logs=f"logs/{PARAMS.run}",
    benchmarks=f"logs/{PARAMS.run}/benchmarks",


report: "workflow/report/workflow.rst"


localrules:
    all,
    tabulate,
    plot,
    report,


wildcard_constraints:
    variant="|".join(map(re.escape, PARAMS.variants)),
    recipe=r"redi|sdtt[1-9]\d*(-redi)?",
    round=r"[1-9]\d*",


# The tables hold every model of compare.recipes and compare.also, so this samples and scores them all.
rule all:
    default_target: True
    input:
        "<results>/tables/tables.csv",
        "<results>/figures/figure02.png",
        "<results>/report.html",


include: "workflow/rules/data.smk"
include: "workflow/rules/teacher.smk"
include: "workflow/rules/students.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/report.smk"
