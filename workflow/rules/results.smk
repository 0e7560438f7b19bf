# The run's parameters as one whole file, for DVC and for readers.
rule parameters:
    output:
        main="<results>/params.yaml",
    params:
        resolved=PARAMS.model_dump_json(),
    run:
        with whole(output.main) as beside:
            beside.write_text(resolved_yaml(PARAMS), encoding="utf-8")


rule tabulate:
    input:
        [f"<results>/{file}" for file in plan.main_files(PARAMS)],
    output:
        main=shown("<results>/tables/tables.csv", "Tables", "all tables"),
        shown=[shown(f"<results>/tables/{name}.csv", "Tables", name) for name in plan.main_tables(PARAMS)],
        files=expand("<results>/tables/{name}.{suffix}", name=plan.main_tables(PARAMS), suffix=["json", "md", "tex"]),
        by_steps=f"<results>/tables/{plan.BY_STEPS}",
        meta="<results>/tables/tables.meta.json",
    params:
        **about("tabulate", file=True),
        results=subpath(output.main, ancestor=2),
    shell:
        stage("tabulate.py --results {params.results}")


rule plot:
    input:
        "<results>/tables/tables.csv",
        [f"<results>/{file}" for file in plan.training_logs(PARAMS)],
    output:
        main=shown("<results>/figures/figure02.png", "Figures", "figure02"),
        shown=[shown(f"<results>/figures/{name}.png", "Figures", name) for name in plan.MAIN_FIGURES[1:]],
        drawn=expand("<results>/figures/{name}.svg", name=plan.MAIN_FIGURES),
        meta="<results>/figures/figure02.meta.json",
    params:
        **about("plot", file=True),
        results=subpath(output.main, ancestor=2),
    shell:
        stage("plot.py --results {params.results}")


# Tables, figures and pages of samples that stand alone: each needs its own models, no more.
rule exhibit_table:
    input:
        exhibit("tables", "csv"),
        data="<data>/dataset.json",
    output:
        main=shown("<results>/tables/{exhibit}.csv", "More tables"),
        files=multiext("<results>/tables/{exhibit}", ".json", ".md", ".tex", ".meta.json"),
    wildcard_constraints:
        exhibit=alternatives(plan.TABLES),
    params:
        **about("exhibit", file=True),
        results=subpath(output.main, ancestor=2),
    shell:
        stage("exhibit.py --data {input.data} --results {params.results}")


use rule exhibit_table as exhibit_figure with:
    input:
        exhibit("figures", "png"),
        data="<data>/dataset.json",
    output:
        main=shown("<results>/figures/{exhibit}.png", "More figures"),
        files=multiext("<results>/figures/{exhibit}", ".svg", ".meta.json"),
    wildcard_constraints:
        exhibit=alternatives(plan.FIGURES),


use rule exhibit_table as exhibit_page with:
    input:
        exhibit("figures", "html"),
        data="<data>/dataset.json",
    output:
        main=shown("<results>/figures/{exhibit}.html", "Samples"),
        files=["<results>/figures/{exhibit}.meta.json"],
    wildcard_constraints:
        exhibit=alternatives(plan.PAGES),


# One page of all that is there: of the comparison, and with it of the extras or of the paper's exhibits.
rule report:
    input:
        lambda wildcards: [f"<results>/{file}" for file in plan.exhibits(PARAMS, wildcards.exhibit)],
        [f"<results>/samples/{model}/samples.safetensors" for model in plan.scored(PARAMS)],
        data="<data>/dataset.json",
        tables="<results>/tables/tables.csv",
        figures="<results>/figures/figure02.png",
    output:
        main=shown("<results>/{exhibit}.html", "Pages"),
        summary="<results>/{exhibit}.summary.json",
        meta="<results>/{exhibit}.meta.json",
    wildcard_constraints:
        exhibit="report|extras|paper",
    params:
        **about("report", file=True),
        results=subpath(output.main, parent=True),
    shell:
        stage("report.py --data {input.data} --results {params.results}")
