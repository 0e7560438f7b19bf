rule train_judge:
    input:
        data="<data>/dataset.json",
    output:
        "<results>/judge/model.safetensors",
        "<results>/judge/config.json",
        "<results>/judge/tokenizer.json",
        "<results>/judge/judge.json",
        "<results>/judge/train_log.csv",
        "<results>/judge/meta.json",
    log:
        "<logs>/train_judge.log",
    benchmark:
        "<benchmarks>/train_judge.tsv"
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=subpath(output[0], parent=True),
        reads=reads("train_judge"),
        options=options,
    shell:
        "python stages/train_judge.py --data {input.data} --out {params.out}{params.options} > {log} 2>&1"


rule pretrain:
    input:
        data="<data>/dataset.json",
    output:
        "<results>/teacher/model.safetensors",
        "<results>/teacher/teacher.json",
        "<results>/teacher/train_log.csv",
        "<results>/teacher/meta.json",
    log:
        "<logs>/pretrain.log",
    benchmark:
        "<benchmarks>/pretrain.tsv"
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=subpath(output[0], parent=True),
        reads=reads("pretrain"),
        options=options,
    shell:
        "python stages/pretrain.py --data {input.data} --out {params.out}{params.options} > {log} 2>&1"


rule adopt:
    input:
        teacher="<results>/teacher/model.safetensors",
    output:
        "<results>/models/{variant}/teacher/model.safetensors",
        "<results>/models/{variant}/teacher/meta.json",
    log:
        "<logs>/adopt/{variant}.log",
    benchmark:
        "<benchmarks>/adopt/{variant}.tsv"
    conda:
        "../../environment.yml"
    params:
        out=subpath(output[0], parent=True),
        reads=reads("adopt"),
        options=options,
    shell:
        "python stages/adopt.py --teacher {input.teacher} --variant {wildcards.variant}" " --out {params.out}{params.options} > {log} 2>&1"
