# At every step count of sampling.steps, below atN/ at N steps alone (Tab. 12), or below dilated/ with the positions of a step far apart.
rule sample:
    input:
        model=lambda wildcards: weights(wildcards.model),
    output:
        **artifact("<results>/{how}samples<samples_shard>/{model}", "samples.safetensors"),
    wildcard_constraints:
        how=rf"({HOW})?",
    params:
        **about("sample"),
        how=lambda wildcards: how_sampled(wildcards.how),
        shard=shard("samples"),
    shell:
        stage("sample.py --model {input.model}{params.how}{params.shard}")


# Samples of other systems, which `external` names.
rule external:
    input:
        data="<data>/dataset.json",
        samples=lambda wildcards: SAMPLES[wildcards.name],
    output:
        **artifact("<results>/samples/external/{name}", "samples.safetensors"),
    wildcard_constraints:
        name=EXTERNAL_NAME,
    params:
        **about("external"),
        name=lambda wildcards: wildcards.name,  # as the number of steps: the cache knows no wildcards
        steps=lambda wildcards: PARAMS.external[wildcards.name].steps,
    shell:
        stage("external.py --data {input.data} --samples {input.samples:q} --name {params.name} --steps {params.steps}")


# Completions of prompts (Tab. 7, 10).
rule complete:
    input:
        data="<data>/dataset.json",
        model=lambda wildcards: weights(wildcards.model),
    output:
        **artifact("<results>/conditional/samples<samples_shard>/{model}", "samples.safetensors"),
    params:
        **about("complete"),
        shard=shard("samples"),
    shell:
        stage("complete.py --data {input.data} --model {input.model}{params.shard}")


# Samples at the temperature of the SDTT baseline's entropy (Tab. 9).
rule match_entropy:
    input:
        model=lambda wildcards: weights(wildcards.model),
        target=f"<results>/scores/{PARAMS.paper.sdtt}/scores.json",
    output:
        **artifact("<results>/matched/samples/{model}", "samples.safetensors"),
    params:
        **about("match_entropy"),
    shell:
        stage("match_entropy.py --model {input.model} --target {input.target}")


# The shards of couplings, samples or completions, where there are several.
rule merge:
    input:
        parts=lambda wildcards: [
            f"<results>/{wildcards.task}{wildcards.kind}-{part}-of-{shards(wildcards.kind)}/{wildcards.model}/{wildcards.kind}.safetensors"
            for part in range(1, shards(wildcards.kind) + 1)
        ],
    output:
        main="<results>/{task}{kind}/{model}/{kind}.safetensors",
        meta="<results>/{task}{kind}/{model}/meta.json",
    wildcard_constraints:
        task=rf"(conditional/|{HOW})?",
        kind=alternatives(kind for kind in ("couplings", "samples") if shards(kind) > 1),
    params:
        **about("merge"),
    shell:
        stage("merge.py --parts {input.parts}")
