rule tokenize_pack:
    output:
        "<data>/dataset.json",
        "<data>/train.bin",
        "<data>/judge.bin",
        "<data>/valid.bin",
        "<data>/test.bin",
        "<data>/tokenizer.json",
        "<data>/meta.json",
    log:
        "<logs>/tokenize_pack.log",
    benchmark:
        "<benchmarks>/tokenize_pack.tsv"
    conda:
        "../../environment.yml"
    params:
        out=subpath(output[0], parent=True),
        reads=reads("tokenize_pack"),
        options=options,
    shell:
        "python stages/tokenize_pack.py --out {params.out}{params.options} > {log} 2>&1"
