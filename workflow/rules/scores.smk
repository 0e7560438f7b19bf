# What no language model wrote, scored as samples are.
rule controls:
    input:
        data="<data>/dataset.json",
        judge="<results>/judge/judge.json",
        reference="<results>/reference/reference.json",
    output:
        **artifact("<results>/controls", "controls.json"),
    params:
        **about("controls"),
    shell:
        stage("controls.py --data {input.data} --judge {input.judge} --reference {input.reference}")


# Of samples, at some step counts or at one, or with other positions in each step, completions of prompts, or samples at a matched entropy.
rule score:
    input:
        data="<data>/dataset.json",
        judge="<results>/judge/judge.json",
        reference="<results>/reference/reference.json",
        samples="<results>/{kind}samples/{model}/samples.safetensors",
    output:
        **artifact("<results>/{kind}scores/{model}", "scores.json", "per_sample.parquet"),
    wildcard_constraints:
        kind=rf"(conditional/|matched/|{HOW})?",
        model=rf"{MODEL}|{EXTERNAL}/({EXTERNAL_NAME})",
    params:
        **about("score"),
    shell:
        stage("score.py --data {input.data} --judge {input.judge} --reference {input.reference} --samples {input.samples}")


# Gen-PPL against entropy over temperatures, for quality at equal entropy.
rule frontier:
    input:
        data="<data>/dataset.json",
        judge="<results>/judge/judge.json",
        model=lambda wildcards: weights(wildcards.model),
    output:
        **artifact("<results>/frontier/{model}", "frontier.json", "per_sample.parquet"),
    params:
        **about("frontier"),
    shell:
        stage("frontier.py --data {input.data} --judge {input.judge} --model {input.model}")


# How far one step is from the teacher's joint, on real text (Eq. 6).
rule factorization:
    input:
        data="<data>/dataset.json",
        model=lambda wildcards: weights(wildcards.model),
        teacher=weights(TEACHER),
    output:
        **artifact("<results>/factorization/{model}", "factorization.json", "per_sequence.parquet"),
    params:
        **about("factorization"),
    shell:
        stage("factorization.py --data {input.data} --model {input.model} --teacher {input.teacher}")


# What a model has by heart. One that was rectified is asked about its couplings, and about others that their teacher draws.
rule audit:
    input:
        unpack(audited_pairs),
        data="<data>/dataset.json",
        model=lambda wildcards: weights(wildcards.model),
        samples="<results>/samples/{model}/samples.safetensors",
        baseline=f"<results>/samples/{TEACHER}/samples.safetensors",
    output:
        **artifact("<results>/audit/{model}", "audit.json", "per_sample.parquet", "per_pair.parquet"),
    params:
        **about("audit"),
        pairs=lambda wildcards, input: "".join(f" --{name} {input[name]}" for name in ("couplings", "teacher") if name in input.keys()),
    shell:
        stage("audit.py --data {input.data} --model {input.model} --samples {input.samples} --baseline {input.baseline}{params.pairs}")
