rule sample:
    input:
        model="<results>/models/{variant}/{recipe}/model.safetensors",
    output:
        "<results>/samples/{variant}/{recipe}/samples.safetensors",
        "<results>/samples/{variant}/{recipe}/meta.json",
    log:
        "<logs>/sample/{variant}/{recipe}.log",
    benchmark:
        "<benchmarks>/sample/{variant}/{recipe}.tsv"
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=subpath(output[0], parent=True),
        reads=reads("sample"),
        options=options,
    shell:
        "python stages/sample.py --model {input.model} --out {params.out}{params.options} > {log} 2>&1"


use rule sample as sample_teacher with:
    input:
        model="<results>/teacher/model.safetensors",
    output:
        "<results>/samples/teacher/samples.safetensors",
        "<results>/samples/teacher/meta.json",
    log:
        "<logs>/sample/teacher.log",
    benchmark:
        "<benchmarks>/sample/teacher.tsv"
