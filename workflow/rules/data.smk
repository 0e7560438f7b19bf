rule tokenize_pack:
    output:
        **artifact("<data>", "dataset.json", "train.bin", "judge.bin", "valid.bin", "test.bin", "tokenizer.json"),
    priority: 2
    params:
        **about("tokenize_pack", PARAMS.corpus.path),
    shell:
        stage("tokenize_pack.py")


rule judge:
    input:
        data="<data>/dataset.json",
    output:
        **artifact("<results>/judge", *judge_files()),
    priority: 1
    params:
        **about(PARAMS.judge.stage, PARAMS.judge.model),
    shell:
        stage(f"{PARAMS.judge.stage}.py --data {{input.data}}")


# Real text under the judge.
rule reference:
    input:
        data="<data>/dataset.json",
        judge="<results>/judge/judge.json",
    output:
        main="<results>/reference/reference.json",
        tensors="<results>/reference/reference.safetensors",
        meta="<results>/reference/meta.json",
    params:
        **about("reference"),
    shell:
        stage("reference.py --data {input.data} --judge {input.judge}")


# {00, 11}: Tables 1 and 2.
rule synthetic:
    output:
        **artifact("<results>/synthetic", "synthetic.json"),
    params:
        **about("synthetic"),
    shell:
        stage("synthetic.py")
