rule score:
    input:
        data="<data>/dataset.json",
        judge="<results>/judge/model.safetensors",
        samples="<results>/samples/{variant}/{recipe}/samples.safetensors",
    output:
        "<results>/scores/{variant}/{recipe}/scores.json",
        "<results>/scores/{variant}/{recipe}/per_sample.parquet",
        "<results>/scores/{variant}/{recipe}/meta.json",
    log:
        "<logs>/score/{variant}/{recipe}.log",
    benchmark:
        "<benchmarks>/score/{variant}/{recipe}.tsv"
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=subpath(output[0], parent=True),
        reads=reads("score"),
        options=options,
    shell:
        "python stages/score.py --data {input.data} --judge {input.judge} --samples {input.samples}"
        " --out {params.out}{params.options} > {log} 2>&1"


use rule score as score_teacher with:
    input:
        data="<data>/dataset.json",
        judge="<results>/judge/model.safetensors",
        samples="<results>/samples/teacher/samples.safetensors",
    output:
        "<results>/scores/teacher/scores.json",
        "<results>/scores/teacher/per_sample.parquet",
        "<results>/scores/teacher/meta.json",
    log:
        "<logs>/score/teacher.log",
    benchmark:
        "<benchmarks>/score/teacher.tsv"


rule synthetic:
    output:
        "<results>/synthetic/synthetic.json",
        "<results>/synthetic/meta.json",
    log:
        "<logs>/synthetic.log",
    benchmark:
        "<benchmarks>/synthetic.tsv"
    conda:
        "../../environment.yml"
    params:
        out=subpath(output[0], parent=True),
        reads=reads("synthetic"),
        options=options,
    shell:
        "python stages/synthetic.py --out {params.out}{params.options} > {log} 2>&1"
