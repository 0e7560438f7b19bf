rule score:
    input:
        data="<data>/dataset.json",
        judge="<results>/judge/judge.json",
        reference="<results>/reference/reference.json",
        samples="<results>/samples/{variant}/{recipe}/samples.safetensors",
    output:
        "<results>/scores/{variant}/{recipe}/scores.json",
        "<results>/scores/{variant}/{recipe}/per_sample.parquet",
        "<results>/scores/{variant}/{recipe}/meta.json",
    log:
        "<logs>/score/{variant}/{recipe}.log",
    benchmark:
        "<benchmarks>/score/{variant}/{recipe}.tsv"
    wildcard_constraints:
        variant=f"{VARIANT}|{PUBLIC}",
        recipe=f"{RECIPES}|{alternatives(PARAMS.public)}",
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=subpath(output[0], parent=True),
        reads=reads("score"),
        options=options,
    shell:
        "python stages/score.py --data {input.data} --judge {input.judge} --reference {input.reference}"
        " --samples {input.samples} --out {params.out}{params.options} > {log} 2>&1"


use rule score as score_teacher with:
    input:
        data="<data>/dataset.json",
        judge="<results>/judge/judge.json",
        reference="<results>/reference/reference.json",
        samples="<results>/samples/teacher/samples.safetensors",
    output:
        "<results>/scores/teacher/scores.json",
        "<results>/scores/teacher/per_sample.parquet",
        "<results>/scores/teacher/meta.json",
    log:
        "<logs>/score/teacher.log",
    benchmark:
        "<benchmarks>/score/teacher.tsv"


use rule score as score_completions with:
    input:
        data="<data>/dataset.json",
        judge="<results>/judge/judge.json",
        reference="<results>/reference/reference.json",
        samples="<results>/conditional/samples/{variant}/{recipe}/samples.safetensors",
    output:
        "<results>/conditional/scores/{variant}/{recipe}/scores.json",
        "<results>/conditional/scores/{variant}/{recipe}/per_sample.parquet",
        "<results>/conditional/scores/{variant}/{recipe}/meta.json",
    log:
        "<logs>/score_completions/{variant}/{recipe}.log",
    benchmark:
        "<benchmarks>/score_completions/{variant}/{recipe}.tsv"


use rule score as score_teacher_completions with:
    input:
        data="<data>/dataset.json",
        judge="<results>/judge/judge.json",
        reference="<results>/reference/reference.json",
        samples="<results>/conditional/samples/teacher/samples.safetensors",
    output:
        "<results>/conditional/scores/teacher/scores.json",
        "<results>/conditional/scores/teacher/per_sample.parquet",
        "<results>/conditional/scores/teacher/meta.json",
    log:
        "<logs>/score_completions/teacher.log",
    benchmark:
        "<benchmarks>/score_completions/teacher.tsv"


use rule score as score_matched with:
    input:
        data="<data>/dataset.json",
        judge="<results>/judge/judge.json",
        reference="<results>/reference/reference.json",
        samples="<results>/matched/samples/{variant}/{recipe}/samples.safetensors",
    output:
        "<results>/matched/scores/{variant}/{recipe}/scores.json",
        "<results>/matched/scores/{variant}/{recipe}/per_sample.parquet",
        "<results>/matched/scores/{variant}/{recipe}/meta.json",
    log:
        "<logs>/score_matched/{variant}/{recipe}.log",
    benchmark:
        "<benchmarks>/score_matched/{variant}/{recipe}.tsv"


# Gen-PPL against entropy over temperatures, for quality at equal entropy.
rule frontier:
    input:
        data="<data>/dataset.json",
        judge="<results>/judge/judge.json",
        model="<results>/models/{variant}/{recipe}/model.safetensors",
    output:
        "<results>/frontier/{variant}/{recipe}/frontier.json",
        "<results>/frontier/{variant}/{recipe}/per_sample.parquet",
        "<results>/frontier/{variant}/{recipe}/meta.json",
    log:
        "<logs>/frontier/{variant}/{recipe}.log",
    benchmark:
        "<benchmarks>/frontier/{variant}/{recipe}.tsv"
    wildcard_constraints:
        variant=f"{VARIANT}|{PUBLIC}",
        recipe=f"{RECIPES}|{alternatives(PARAMS.public)}",
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=subpath(output[0], parent=True),
        reads=reads("frontier"),
        options=options,
    shell:
        "python stages/frontier.py --data {input.data} --judge {input.judge} --model {input.model}"
        " --out {params.out}{params.options} > {log} 2>&1"


use rule frontier as frontier_teacher with:
    input:
        data="<data>/dataset.json",
        judge="<results>/judge/judge.json",
        model="<results>/teacher/model.safetensors",
    output:
        "<results>/frontier/teacher/frontier.json",
        "<results>/frontier/teacher/per_sample.parquet",
        "<results>/frontier/teacher/meta.json",
    log:
        "<logs>/frontier/teacher.log",
    benchmark:
        "<benchmarks>/frontier/teacher.tsv"


# How far one step is from the teacher's joint, on real text (Eq. 6).
rule factorization:
    input:
        data="<data>/dataset.json",
        model="<results>/models/{variant}/{recipe}/model.safetensors",
        teacher="<results>/teacher/model.safetensors",
    output:
        "<results>/factorization/{variant}/{recipe}/factorization.json",
        "<results>/factorization/{variant}/{recipe}/per_sequence.parquet",
        "<results>/factorization/{variant}/{recipe}/meta.json",
    log:
        "<logs>/factorization/{variant}/{recipe}.log",
    benchmark:
        "<benchmarks>/factorization/{variant}/{recipe}.tsv"
    wildcard_constraints:
        variant=f"{VARIANT}|{PUBLIC}",
        recipe=f"{RECIPES}|{alternatives(PARAMS.public)}",
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=subpath(output[0], parent=True),
        reads=reads("factorization"),
        options=options,
    shell:
        "python stages/factorization.py --data {input.data} --model {input.model} --teacher {input.teacher}"
        " --out {params.out}{params.options} > {log} 2>&1"


use rule factorization as factorization_teacher with:
    input:
        data="<data>/dataset.json",
        model="<results>/teacher/model.safetensors",
        teacher="<results>/teacher/model.safetensors",
    output:
        "<results>/factorization/teacher/factorization.json",
        "<results>/factorization/teacher/per_sequence.parquet",
        "<results>/factorization/teacher/meta.json",
    log:
        "<logs>/factorization/teacher.log",
    benchmark:
        "<benchmarks>/factorization/teacher.tsv"


rule dictionary:
    output:
        dictionary="<results>/dictionary/dictionary.csv",
        meta="<results>/dictionary/meta.json",
    log:
        "<logs>/dictionary.log",
    benchmark:
        "<benchmarks>/dictionary.tsv"
    conda:
        "../../environment.yml"
    params:
        out=subpath(output.dictionary, parent=True),
        reads=reads("dictionary"),
        options=options,
    shell:
        "python stages/dictionary.py --out {params.out}{params.options} > {log} 2>&1"


rule chain:
    output:
        chain="<results>/chain/chain.csv",
        meta="<results>/chain/meta.json",
    log:
        "<logs>/chain.log",
    benchmark:
        "<benchmarks>/chain.tsv"
    conda:
        "../../environment.yml"
    params:
        out=subpath(output.chain, parent=True),
        reads=reads("chain"),
        options=options,
    shell:
        "python stages/chain.py --out {params.out}{params.options} > {log} 2>&1"


# What a model has by heart. One that was rectified is asked about its couplings, and about others that their teacher draws.
rule audit:
    input:
        data="<data>/dataset.json",
        model="<results>/models/{variant}/{recipe}/model.safetensors",
        samples="<results>/samples/{variant}/{recipe}/samples.safetensors",
        baseline="<results>/samples/teacher/samples.safetensors",
    output:
        "<results>/audit/{variant}/{recipe}/audit.json",
        "<results>/audit/{variant}/{recipe}/per_sample.parquet",
        "<results>/audit/{variant}/{recipe}/per_pair.parquet",
        "<results>/audit/{variant}/{recipe}/meta.json",
    log:
        "<logs>/audit/{variant}/{recipe}.log",
    benchmark:
        "<benchmarks>/audit/{variant}/{recipe}.tsv"
    wildcard_constraints:
        variant=f"{VARIANT}|{PUBLIC}",
        recipe=f"{UNRECTIFIED}|{alternatives(PARAMS.public)}",
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=subpath(output[0], parent=True),
        reads=reads("audit"),
        options=options,
    shell:
        "python stages/audit.py --data {input.data} --model {input.model} --samples {input.samples} --baseline {input.baseline}"
        " --out {params.out}{params.options} > {log} 2>&1"


use rule audit as audit_teacher with:
    input:
        data="<data>/dataset.json",
        model="<results>/teacher/model.safetensors",
        samples="<results>/samples/teacher/samples.safetensors",
        baseline="<results>/samples/teacher/samples.safetensors",
    output:
        "<results>/audit/teacher/audit.json",
        "<results>/audit/teacher/per_sample.parquet",
        "<results>/audit/teacher/per_pair.parquet",
        "<results>/audit/teacher/meta.json",
    log:
        "<logs>/audit/teacher.log",
    benchmark:
        "<benchmarks>/audit/teacher.tsv"


rule audit_redi:
    input:
        data="<data>/dataset.json",
        model="<results>/models/{variant}/redi/model.safetensors",
        samples="<results>/samples/{variant}/redi/samples.safetensors",
        baseline="<results>/samples/teacher/samples.safetensors",
        couplings="<results>/couplings/teacher/couplings.safetensors",
        teacher="<results>/teacher/model.safetensors",
    output:
        "<results>/audit/{variant}/redi/audit.json",
        "<results>/audit/{variant}/redi/per_sample.parquet",
        "<results>/audit/{variant}/redi/per_pair.parquet",
        "<results>/audit/{variant}/redi/meta.json",
    log:
        "<logs>/audit/{variant}/redi.log",
    benchmark:
        "<benchmarks>/audit/{variant}/redi.tsv"
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=subpath(output[0], parent=True),
        reads=reads("audit"),
        options=options,
    shell:
        "python stages/audit.py --data {input.data} --model {input.model} --samples {input.samples} --baseline {input.baseline}"
        " --couplings {input.couplings} --teacher {input.teacher} --out {params.out}{params.options} > {log} 2>&1"


use rule audit_redi as audit_redi_student with:
    input:
        data="<data>/dataset.json",
        model="<results>/models/{variant}/sdtt{round}-redi/model.safetensors",
        samples="<results>/samples/{variant}/sdtt{round}-redi/samples.safetensors",
        baseline="<results>/samples/teacher/samples.safetensors",
        couplings="<results>/couplings/{variant}/sdtt{round}/couplings.safetensors",
        teacher="<results>/models/{variant}/sdtt{round}/model.safetensors",
    output:
        "<results>/audit/{variant}/sdtt{round}-redi/audit.json",
        "<results>/audit/{variant}/sdtt{round}-redi/per_sample.parquet",
        "<results>/audit/{variant}/sdtt{round}-redi/per_pair.parquet",
        "<results>/audit/{variant}/sdtt{round}-redi/meta.json",
    log:
        "<logs>/audit/{variant}/sdtt{round}-redi.log",
    benchmark:
        "<benchmarks>/audit/{variant}/sdtt{round}-redi.tsv"


rule synthetic:
    output:
        synthetic="<results>/synthetic/synthetic.json",
        meta="<results>/synthetic/meta.json",
    log:
        "<logs>/synthetic.log",
    conda:
        "../../environment.yml"
    params:
        out=folder,
        reads=reads("synthetic"),
        content=content("synthetic"),
        options=options,
    shell:
        "python stages/synthetic.py --out {params.out}{params.options} > {log} 2>&1"
