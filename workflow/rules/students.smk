rule sdtt:
    input:
        data="<data>/dataset.json",
        teacher=teacher_of,
    output:
        "<results>/models/{variant}/sdtt{round}/model.safetensors",
        "<results>/models/{variant}/sdtt{round}/train_log.csv",
        "<results>/models/{variant}/sdtt{round}/meta.json",
    log:
        "<logs>/sdtt/{variant}/{round}.log",
    benchmark:
        "<benchmarks>/sdtt/{variant}/{round}.tsv"
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=subpath(output[0], parent=True),
        reads=reads("sdtt"),
        options=options,
    shell:
        "python stages/sdtt.py --data {input.data} --round {wildcards.round} --teacher {input.teacher}"
        " --out {params.out}{params.options} > {log} 2>&1"


rule couple:
    input:
        data="<data>/dataset.json",
        teacher="<results>/teacher/model.safetensors",
    output:
        "<results>/couplings/teacher/couplings.safetensors",
        "<results>/couplings/teacher/meta.json",
    log:
        "<logs>/couple/teacher.log",
    benchmark:
        "<benchmarks>/couple/teacher.tsv"
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=subpath(output[0], parent=True),
        reads=reads("couple"),
        options=options,
    shell:
        "python stages/couple.py --data {input.data} --teacher {input.teacher}" " --out {params.out}{params.options} > {log} 2>&1"


use rule couple as couple_student with:
    input:
        data="<data>/dataset.json",
        teacher="<results>/models/{variant}/sdtt{round}/model.safetensors",
    output:
        "<results>/couplings/{variant}/sdtt{round}/couplings.safetensors",
        "<results>/couplings/{variant}/sdtt{round}/meta.json",
    log:
        "<logs>/couple/{variant}/sdtt{round}.log",
    benchmark:
        "<benchmarks>/couple/{variant}/sdtt{round}.tsv"


rule redi:
    input:
        couplings="<results>/couplings/teacher/couplings.safetensors",
        init="<results>/models/{variant}/teacher/model.safetensors",
    output:
        "<results>/models/{variant}/redi/model.safetensors",
        "<results>/models/{variant}/redi/train_log.csv",
        "<results>/models/{variant}/redi/meta.json",
    log:
        "<logs>/redi/{variant}/teacher.log",
    benchmark:
        "<benchmarks>/redi/{variant}/teacher.tsv"
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=subpath(output[0], parent=True),
        reads=reads("redi"),
        options=options,
    shell:
        "python stages/redi.py --couplings {input.couplings} --init {input.init}" " --out {params.out}{params.options} > {log} 2>&1"


use rule redi as redi_student with:
    input:
        couplings="<results>/couplings/{variant}/sdtt{round}/couplings.safetensors",
        init="<results>/models/{variant}/sdtt{round}/model.safetensors",
    output:
        "<results>/models/{variant}/sdtt{round}-redi/model.safetensors",
        "<results>/models/{variant}/sdtt{round}-redi/train_log.csv",
        "<results>/models/{variant}/sdtt{round}-redi/meta.json",
    log:
        "<logs>/redi/{variant}/sdtt{round}.log",
    benchmark:
        "<benchmarks>/redi/{variant}/sdtt{round}.tsv"
