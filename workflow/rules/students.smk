rule sdtt:
    input:
        data="<data>/dataset.json",
        teacher=sdtt_teacher,
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
        "python stages/sdtt.py --data {input.data} --round {wildcards.round} --teacher {input.teacher} --out {params.out}{params.options} > {log} 2>&1"


rule di4c:
    input:
        data="<data>/dataset.json",
        teacher=di4c_teacher,
    output:
        "<results>/models/{variant}/{before}di4c{round}/model.safetensors",
        "<results>/models/{variant}/{before}di4c{round}/train_log.csv",
        "<results>/models/{variant}/{before}di4c{round}/meta.json",
    log:
        "<logs>/di4c/{variant}/{before}{round}.log",
    benchmark:
        "<benchmarks>/di4c/{variant}/{before}{round}.tsv"
    wildcard_constraints:
        before=r"(sdtt[1-9]\d*-)?",
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=subpath(output[0], parent=True),
        reads=reads("di4c"),
        options=options,
    shell:
        "python stages/di4c.py --data {input.data} --round {wildcards.round} --teacher {input.teacher} --out {params.out}{params.options} > {log} 2>&1"


rule keyed:
    input:
        data="<data>/dataset.json",
        teacher=keyed_teacher,
    output:
        "<results>/models/{variant}/{before}keyed/model.safetensors",
        "<results>/models/{variant}/{before}keyed/train_log.csv",
        "<results>/models/{variant}/{before}keyed/meta.json",
    log:
        "<logs>/keyed/{variant}/{before}keyed.log",
    benchmark:
        "<benchmarks>/keyed/{variant}/{before}keyed.tsv"
    wildcard_constraints:
        before=r"(sdtt[1-9]\d*-)?",
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=subpath(output[0], parent=True),
        reads=reads("keyed"),
        options=options,
    shell:
        "python stages/keyed.py --data {input.data} --teacher {input.teacher} --out {params.out}{params.options} > {log} 2>&1"


rule couple:
    input:
        data="<data>/dataset.json",
        teacher="<results>/teacher/model.safetensors",
    output:
        couplings="<results>/couplings<couplings_shard>/teacher/couplings.safetensors",
        meta="<results>/couplings<couplings_shard>/teacher/meta.json",
    log:
        "<logs>/couple<couplings_shard>/teacher.log",
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=folder,
        shard=shard("couplings"),
        reads=reads("couple"),
        content=content("couple"),
        options=options,
    shell:
        "python stages/couple.py --data {input.data} --teacher {input.teacher}{params.shard}"
        " --out {params.out}{params.options} > {log} 2>&1"


use rule couple as couple_student with:
    input:
        data="<data>/dataset.json",
        teacher="<results>/models/{variant}/sdtt{round}/model.safetensors",
    output:
        "<results>/couplings<couplings_shard>/{variant}/sdtt{round}/couplings.safetensors",
        "<results>/couplings<couplings_shard>/{variant}/sdtt{round}/meta.json",
    log:
        "<logs>/couple<couplings_shard>/{variant}/sdtt{round}.log",
    benchmark:
        "<benchmarks>/couple<couplings_shard>/{variant}/sdtt{round}.tsv"


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
        "python stages/redi.py --couplings {input.couplings} --init {input.init} --out {params.out}{params.options} > {log} 2>&1"


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
