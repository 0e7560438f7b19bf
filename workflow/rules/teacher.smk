rule judge:
    input:
        data="<data>/dataset.json",
    output:
        **judge_weights(),
        judge="<results>/judge/judge.json",
        train_log="<results>/judge/train_log.csv",
        meta="<results>/judge/meta.json",
    log:
        "<logs>/judge.log",
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=folder,
        stage=PARAMS.judge.stage,
        reads=reads(PARAMS.judge.stage),
        content=content(PARAMS.judge.stage, PARAMS.judge.model),
        options=options,
    shell:
        "python stages/{params.stage}.py --data {input.data} --out {params.out}{params.options} > {log} 2>&1"


rule reference:
    input:
        data="<data>/dataset.json",
        judge="<results>/judge/judge.json",
    output:
        reference="<results>/reference/reference.json",
        features="<results>/reference/reference.safetensors",
        meta="<results>/reference/meta.json",
    log:
        "<logs>/reference.log",
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=folder,
        reads=reads("reference"),
        content=content("reference"),
        options=options,
    shell:
        "python stages/reference.py --data {input.data} --judge {input.judge} --out {params.out}{params.options} > {log} 2>&1"


rule teacher:
    input:
        data="<data>/dataset.json",
    output:
        model="<results>/teacher/model.safetensors",
        validation="<results>/teacher/validation.json",
        train_log="<results>/teacher/train_log.csv",
        meta="<results>/teacher/meta.json",
    log:
        "<logs>/teacher.log",
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=folder,
        stage=PARAMS.teacher.stage,
        reads=reads(PARAMS.teacher.stage),
        content=content(PARAMS.teacher.stage, PARAMS.teacher.checkpoint),
        options=options,
    shell:
        "python stages/{params.stage}.py --data {input.data} --out {params.out}{params.options} > {log} 2>&1"


rule load_public:
    input:
        data="<data>/dataset.json",
    output:
        "<results>/models/public/{name}/model.safetensors",
        "<results>/models/public/{name}/validation.json",
        "<results>/models/public/{name}/train_log.csv",
        "<results>/models/public/{name}/meta.json",
    log:
        "<logs>/load_public/{name}.log",
    benchmark:
        "<benchmarks>/load_public/{name}.tsv"
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=subpath(output[0], parent=True),
        reads=reads("load_mdlm"),
        options=options,
    shell:
        "python stages/load_mdlm.py --data {input.data} --public {wildcards.name} --out {params.out}{params.options} > {log} 2>&1"


rule initialize:
    input:
        teacher="<results>/teacher/model.safetensors",
    output:
        "<results>/models/{variant}/teacher/model.safetensors",
        "<results>/models/{variant}/teacher/meta.json",
    log:
        "<logs>/initialize/{variant}.log",
    benchmark:
        "<benchmarks>/initialize/{variant}.tsv"
    conda:
        "../../environment.yml"
    params:
        out=subpath(output[0], parent=True),
        reads=reads("initialize"),
        options=options,
    shell:
        "python stages/initialize.py --teacher {input.teacher} --variant {wildcards.variant} --out {params.out}{params.options} > {log} 2>&1"


rule scratch:
    input:
        data="<data>/dataset.json",
    output:
        "<results>/models/{variant}/scratch/model.safetensors",
        "<results>/models/{variant}/scratch/validation.json",
        "<results>/models/{variant}/scratch/train_log.csv",
        "<results>/models/{variant}/scratch/meta.json",
    log:
        "<logs>/scratch/{variant}.log",
    benchmark:
        "<benchmarks>/scratch/{variant}.tsv"
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=subpath(output[0], parent=True),
        reads=reads("pretrain"),
        options=options,
    shell:
        "python stages/pretrain.py --data {input.data} --variant {wildcards.variant} --out {params.out}{params.options} > {log} 2>&1"


rule finetune:
    input:
        data="<data>/dataset.json",
        init="<results>/models/{variant}/teacher/model.safetensors",
    output:
        "<results>/models/{variant}/finetune/model.safetensors",
        "<results>/models/{variant}/finetune/validation.json",
        "<results>/models/{variant}/finetune/train_log.csv",
        "<results>/models/{variant}/finetune/meta.json",
    log:
        "<logs>/finetune/{variant}.log",
    benchmark:
        "<benchmarks>/finetune/{variant}.tsv"
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=subpath(output[0], parent=True),
        reads=reads("finetune"),
        options=options,
    shell:
        "python stages/finetune.py --data {input.data} --init {input.init} --out {params.out}{params.options} > {log} 2>&1"
