rule sample:
    input:
        model="<results>/models/{variant}/{recipe}/model.safetensors",
    output:
        "<results>/samples<samples_shard>/{variant}/{recipe}/samples.safetensors",
        "<results>/samples<samples_shard>/{variant}/{recipe}/meta.json",
    log:
        "<logs>/sample<samples_shard>/{variant}/{recipe}.log",
    benchmark:
        "<benchmarks>/sample<samples_shard>/{variant}/{recipe}.tsv"
    wildcard_constraints:
        variant=f"{VARIANT}|{PUBLIC}",
        recipe=f"{RECIPES}|{alternatives(PARAMS.public)}",
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=subpath(output[0], parent=True),
        shard=shard("samples"),
        reads=reads("sample"),
        options=options,
    shell:
        "python stages/sample.py --model {input.model}{params.shard} --out {params.out}{params.options} > {log} 2>&1"


use rule sample as sample_teacher with:
    input:
        model="<results>/teacher/model.safetensors",
    output:
        "<results>/samples<samples_shard>/teacher/samples.safetensors",
        "<results>/samples<samples_shard>/teacher/meta.json",
    log:
        "<logs>/sample<samples_shard>/teacher.log",
    benchmark:
        "<benchmarks>/sample<samples_shard>/teacher.tsv"


# Completions of prompts (Tab. 7, 10).
rule complete:
    input:
        data="<data>/dataset.json",
        model="<results>/models/{variant}/{recipe}/model.safetensors",
    output:
        "<results>/conditional/samples<samples_shard>/{variant}/{recipe}/samples.safetensors",
        "<results>/conditional/samples<samples_shard>/{variant}/{recipe}/meta.json",
    log:
        "<logs>/complete<samples_shard>/{variant}/{recipe}.log",
    benchmark:
        "<benchmarks>/complete<samples_shard>/{variant}/{recipe}.tsv"
    wildcard_constraints:
        variant=f"{VARIANT}|{PUBLIC}",
        recipe=f"{RECIPES}|{alternatives(PARAMS.public)}",
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=subpath(output[0], parent=True),
        shard=shard("samples"),
        reads=reads("complete"),
        options=options,
    shell:
        "python stages/complete.py --data {input.data} --model {input.model}{params.shard} --out {params.out}{params.options} > {log} 2>&1"


use rule complete as complete_teacher with:
    input:
        data="<data>/dataset.json",
        model="<results>/teacher/model.safetensors",
    output:
        "<results>/conditional/samples<samples_shard>/teacher/samples.safetensors",
        "<results>/conditional/samples<samples_shard>/teacher/meta.json",
    log:
        "<logs>/complete<samples_shard>/teacher.log",
    benchmark:
        "<benchmarks>/complete<samples_shard>/teacher.tsv"


# Samples at the temperature of the SDTT baseline's entropy (Tab. 9).
rule match_entropy:
    input:
        model="<results>/models/{variant}/{recipe}/model.safetensors",
        target=f"<results>/scores/{PARAMS.paper.sdtt}/scores.json",
    output:
        "<results>/matched/samples/{variant}/{recipe}/samples.safetensors",
        "<results>/matched/samples/{variant}/{recipe}/meta.json",
    log:
        "<logs>/match_entropy/{variant}/{recipe}.log",
    benchmark:
        "<benchmarks>/match_entropy/{variant}/{recipe}.tsv"
    wildcard_constraints:
        variant=f"{VARIANT}|{PUBLIC}",
        recipe=f"{RECIPES}|{alternatives(PARAMS.public)}",
    conda:
        "../../environment.yml"
    resources:
        accelerator=1,
    params:
        out=subpath(output[0], parent=True),
        reads=reads("match_entropy"),
        options=options,
    shell:
        "python stages/match_entropy.py --model {input.model} --target {input.target} --out {params.out}{params.options} > {log} 2>&1"
