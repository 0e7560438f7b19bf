rule tabulate:
    input:
        scores=of_models("<results>/scores/{model}/scores.json"),
        judge="<results>/judge/judge.json",
        teacher="<results>/teacher/teacher.json",
        synthetic="<results>/synthetic/synthetic.json",
    output:
        report("<results>/tables/tables.csv", caption="../report/tables.rst", category="Tables"),
        expand("<results>/tables/table{number}.{suffix}", number=["01", "02", "04", "05"], suffix=["csv", "md", "tex"]),
        "<results>/tables/meta.json",
    log:
        "<logs>/tabulate.log",
    benchmark:
        "<benchmarks>/tabulate.tsv"
    conda:
        "../../environment.yml"
    params:
        scores=lambda wildcards, input: Path(input.scores[0]).parents[1],
        out=subpath(output[0], parent=True),
        reads=reads("tabulate"),
        options=options,
    shell:
        "python stages/tabulate.py --scores {params.scores} --judge {input.judge} --teacher {input.teacher}"
        " --synthetic {input.synthetic} --out {params.out}{params.options} > {log} 2>&1"


rule plot:
    input:
        tables="<results>/tables/tables.csv",
        logs=training_logs(),
    output:
        report("<results>/figures/figure02.png", caption="../report/figure02.rst", category="Figures"),
        report("<results>/figures/frontier.png", caption="../report/frontier.rst", category="Figures"),
        report("<results>/figures/training.png", caption="../report/training.rst", category="Figures"),
        "<results>/figures/figure02.svg",
        "<results>/figures/frontier.svg",
        "<results>/figures/training.svg",
        "<results>/figures/meta.json",
    log:
        "<logs>/plot.log",
    benchmark:
        "<benchmarks>/plot.tsv"
    conda:
        "../../environment.yml"
    params:
        logs=lambda wildcards, input: Path(input.logs[-1]).parents[2],
        out=subpath(output[0], parent=True),
        reads=reads("plot"),
        options=options,
    shell:
        "python stages/plot.py --tables {input.tables} --logs {params.logs} --out {params.out}{params.options} > {log} 2>&1"


rule report:
    input:
        data="<data>/dataset.json",
        tables="<results>/tables/tables.csv",
        figures="<results>/figures/figure02.png",
        samples=of_models("<results>/samples/{model}/samples.safetensors"),
    output:
        "<results>/report.html",
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
        " --samples {params.samples} --out {output}{params.options} > {log} 2>&1"
