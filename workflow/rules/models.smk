# Every model is results/RUN/models/NAME. NAME is teacher, VARIANT/RECIPE or public/NAME, and says what it is made from.
rule pretrain:
    input:
        data="<data>/dataset.json",
    output:
        **trained("<results>/models/{model}", "validation.json"),
    wildcard_constraints:
        model=rf"{VARIANT}/scratch" + (f"|{TEACHER}" if PARAMS.teacher.stage == "pretrain" else ""),
    priority: 2  # most jobs wait for the teacher
    params:
        **about("pretrain"),
        variant=lambda wildcards: f" --variant {wildcards.model.partition('/')[0]}" if wildcards.model != TEACHER else "",
    shell:
        stage("pretrain.py --data {input.data}{params.variant}")


rule load_mdlm:
    input:
        data="<data>/dataset.json",
    output:
        **trained("<results>/models/{model}", "validation.json"),
    wildcard_constraints:
        model=PUBLIC_MODEL + (f"|{TEACHER}" if PARAMS.teacher.stage == "load_mdlm" else ""),
    priority: 2  # most jobs wait for the teacher
    params:
        **about("load_mdlm", PARAMS.teacher.checkpoint),
        public=lambda wildcards: f" --public {wildcards.model.partition('/')[2]}" if wildcards.model != TEACHER else "",
    shell:
        stage("load_mdlm.py --data {input.data}{params.public}")


# The exact marginals of a language, as a model.
rule oracle:
    input:
        data="<data>/dataset.json",
    output:
        **artifact("<results>/models/oracle", "model.safetensors"),
    params:
        **about("oracle"),
    shell:
        stage("oracle.py --data {input.data}")


# A variant's own start: the teacher's weights, with its masks.
rule initialize:
    input:
        teacher=weights(TEACHER),
    output:
        **artifact("<results>/models/{variant}/teacher", "model.safetensors"),
    priority: 1  # the keyed student, the longest training, waits for it
    params:
        **about("initialize"),
        variant=lambda wildcards: wildcards.variant,  # of two replicates all else is equal, and the cache knows no wildcards
    shell:
        stage("initialize.py --teacher {input.teacher} --variant {params.variant}")


rule finetune:
    input:
        data="<data>/dataset.json",
        init=parent_of,
    output:
        **trained("<results>/models/{variant}/{recipe}", "validation.json"),
    wildcard_constraints:
        recipe="finetune",
    params:
        **about("finetune"),
    shell:
        stage("finetune.py --data {input.data} --init {input.init}")


rule sdtt:
    input:
        data="<data>/dataset.json",
        teacher=parent_of,
    output:
        **trained("<results>/models/{variant}/{recipe}"),
    wildcard_constraints:
        recipe=r"sdtt[1-9]\d*",
    params:
        **about("sdtt"),
        round=lambda wildcards: wildcards.recipe.removeprefix("sdtt"),
    shell:
        stage("sdtt.py --data {input.data} --round {params.round} --teacher {input.teacher}")


rule di4c:
    input:
        data="<data>/dataset.json",
        teacher=parent_of,
    output:
        **trained("<results>/models/{variant}/{recipe}"),
    wildcard_constraints:
        recipe=r"(sdtt[1-9]\d*-)?di4c[1-9]\d*",
    params:
        **about("di4c"),
        round=lambda wildcards: wildcards.recipe.rpartition("di4c")[2],
    shell:
        stage("di4c.py --data {input.data} --round {params.round} --teacher {input.teacher}")


rule keyed:
    input:
        data="<data>/dataset.json",
        teacher=parent_of,
    output:
        **trained("<results>/models/{variant}/{recipe}"),
    wildcard_constraints:
        recipe=r"(sdtt[1-9]\d*-)?keyed",
    priority: 1
    params:
        **about("keyed"),
    shell:
        stage("keyed.py --data {input.data} --teacher {input.teacher}")


rule couple:
    input:
        data="<data>/dataset.json",
        teacher=lambda wildcards: weights(wildcards.model),
    output:
        **artifact("<results>/couplings<couplings_shard>/{model}", "couplings.safetensors"),
    params:
        **about("couple"),
        shard=shard("couplings"),
    shell:
        stage("couple.py --data {input.data} --teacher {input.teacher}{params.shard}")


rule redi:
    input:
        couplings=couplings,
        init=parent_of,
    output:
        **trained("<results>/models/{variant}/{recipe}"),
    wildcard_constraints:
        recipe=r"(sdtt[1-9]\d*-)?redi",
    params:
        **about("redi"),
        variant=lambda wildcards: f" --variant {wildcards.variant}" if PARAMS.redi_settings(wildcards.variant) != PARAMS.redi else "",
    shell:
        stage("redi.py --couplings {input.couplings} --init {input.init}{params.variant}")
