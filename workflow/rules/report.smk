rule tabulate:
    input:
        scores=expand("<results>/scores/{model}/scores.json", model=all_models()),
        frontier=expand("<results>/frontier/{model}/frontier.json", model=all_models()),
        audits=expand("<results>/audit/{model}/audit.json", model=all_models()),
        judge="<results>/judge/judge.json",
        reference="<results>/reference/reference.json",
        validation="<results>/teacher/validation.json",
        synthetic="<results>/synthetic/synthetic.json",
        dictionary="<results>/dictionary/dictionary.csv",
        chain="<results>/chain/chain.csv",
        factorization=expand("<results>/factorization/{model}/factorization.json", model=factorized_models()),
    output:
        expand("<results>/tables/{name}.{suffix}", name=TABLES, suffix=["md", "tex"]),
        [
            report(f"<results>/tables/{name}.csv", caption=f"../report/{name}.rst", category="Tables", labels=labels)
            for name, labels in TABLES.items()
        ],
        "<results>/tables/tables.meta.json",
        tables=report(
            "<results>/tables/tables.csv",
            caption="../report/tables.rst",
            category="Tables",
            labels={"file": "All tables", "shows": "one row a number"},
        ),
    log:
        "<logs>/tabulate.log",
    benchmark:
        "<benchmarks>/tabulate.tsv"
    conda:
        "../../environment.yml"
    params:
        scores=lambda wildcards, input: Path(input.scores[0]).parents[1],
        factorization=lambda wildcards, input: Path(input.factorization[0]).parents[1],
        frontier=lambda wildcards, input: Path(input.frontier[0]).parents[1],
        audits=lambda wildcards, input: Path(input.audits[0]).parents[1],
        reads=reads("tabulate"),
        options=options,
    shell:
        "python stages/tabulate.py --scores {params.scores} --frontier {params.frontier} --audits {params.audits}"
        " --judge {input.judge} --reference {input.reference}"
        " --validation {input.validation} --synthetic {input.synthetic}"
        " --dictionary {input.dictionary} --chain {input.chain} --factorization {params.factorization}"
        " --out {output.tables}{params.options} > {log} 2>&1"


rule plot:
    input:
        tables="<results>/tables/tables.csv",
        dictionary="<results>/dictionary/dictionary.csv",
        logs=training_logs(),
    output:
        [
            report(f"<results>/figures/{name}.png", caption=f"../report/{name}.rst", category="Figures", labels=labels)
            for name, labels in FIGURES.items()
        ],
        "<results>/figures/figure02.svg",
        expand("<results>/figures/{name}.svg", name=FIGURES),
        "<results>/figures/figure02.meta.json",
        figure=report(
            "<results>/figures/figure02.png",
            caption="../report/figure02.rst",
            category="Figures",
            labels={"file": "Figure 02", "shows": "Gen-PPL against steps"},
        ),
    log:
        "<logs>/plot.log",
    benchmark:
        "<benchmarks>/plot.tsv"
    conda:
        "../../environment.yml"
    params:
        logs=lambda wildcards, input: Path(input.logs[-1]).parents[2],
        reads=reads("plot"),
        options=options,
    shell:
        "python stages/plot.py --tables {input.tables} --dictionary {input.dictionary} --logs {params.logs} --out {output.figure}{params.options} > {log} 2>&1"


# The paper's other tables, figures and sample pages: each needs its own models, no more.
rule exhibit_table:
    input:
        exhibit_inputs,
        data="<data>/dataset.json",
        judge="<results>/judge/judge.json",
    output:
        "<results>/tables/{exhibit}.md",
        "<results>/tables/{exhibit}.tex",
        "<results>/tables/{exhibit}.meta.json",
        exhibit=report(
            "<results>/tables/{exhibit}.csv", caption="../report/exhibit.rst", category="The paper's tables", labels=exhibit_labels
        ),
    log:
        "<logs>/exhibit/{exhibit}.log",
    benchmark:
        "<benchmarks>/exhibit/{exhibit}.tsv"
    wildcard_constraints:
        exhibit=alternatives(name for name in EXHIBITS if name.startswith("table")),
    conda:
        "../../environment.yml"
    params:
        results=lambda wildcards, output: Path(output.exhibit).parents[1],
        reads=reads("exhibit"),
        options=options,
    shell:
        "python stages/exhibit.py --exhibit {wildcards.exhibit} --data {input.data} --results {params.results}"
        " --out {output.exhibit}{params.options} > {log} 2>&1"


use rule exhibit_table as exhibit_figure with:
    output:
        "<results>/figures/{exhibit}.svg",
        "<results>/figures/{exhibit}.meta.json",
        exhibit=report(
            "<results>/figures/{exhibit}.png", caption="../report/exhibit.rst", category="The paper's figures", labels=exhibit_labels
        ),
    wildcard_constraints:
        exhibit=alternatives(name for name in EXHIBITS if name.startswith("figure") and name not in PAGES),


use rule exhibit_table as exhibit_page with:
    output:
        "<results>/figures/{exhibit}.txt",
        "<results>/figures/{exhibit}.meta.json",
        exhibit=report(
            "<results>/figures/{exhibit}.html", caption="../report/exhibit.rst", category="The paper's samples", labels=exhibit_labels
        ),
    wildcard_constraints:
        exhibit=alternatives(PAGES),


rule report:
    input:
        data="<data>/dataset.json",
        tables="<results>/tables/tables.csv",
        figures="<results>/figures/figure02.png",
        samples=expand("<results>/samples/{model}/samples.safetensors", model=all_models()),
    output:
        "<results>/report.meta.json",
        page=report("<results>/report.html", caption="../report/page.rst", category="Pages", labels={"file": "results"}),
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.tsv"
    conda:
        "../../environment.yml"
    params:
        tables=subpath(input.tables, parent=True),
        figures=subpath(input.figures, parent=True),
        samples=lambda wildcards, input: Path(input.samples[0]).parents[1],
        reads=reads("report"),
        options=options,
    shell:
        "python stages/report.py --data {input.data} --tables {params.tables} --figures {params.figures}"
        " --samples {params.samples} --out {output.page}{params.options} > {log} 2>&1"


use rule report as paper_report with:
    input:
        data="<data>/dataset.json",
        tables="<results>/tables/tables.csv",
        figures="<results>/figures/figure02.png",
        samples=expand("<results>/samples/{model}/samples.safetensors", model=all_models()),
        exhibits=[f"<results>/{target(exhibit)}" for exhibit in PARAMS.paper.exhibits],
    output:
        "<results>/paper.meta.json",
        page=report(
            "<results>/paper.html", caption="../report/page.rst", category="Pages", labels={"file": "results and the paper's exhibits"}
        ),
    log:
        "<logs>/paper_report.log",
    benchmark:
        "<benchmarks>/paper_report.tsv"


# DVC's stages are of params.yaml as it is, so there is nothing to register for another file or a value of --config.
if not OPTIONS:

    rule register:
        input:
            rules.all.input,
            expand("<results>/models/{model}/model.safetensors", model=dvc_models()),
        output:
            touch("<logs>/registered"),
        log:
            "<logs>/register.log",
        localrule: True
        conda:
            "../../environment.yml"
        params:
            folders=f"data results/{PARAMS.run}",
        shell:
            "python workflow/register.py {params.folders} > {log} 2>&1"
