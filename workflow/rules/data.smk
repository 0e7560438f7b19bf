rule tokenize_pack:
    output:
        dataset="<data>/dataset.json",
        train="<data>/train.bin",
        judge="<data>/judge.bin",
        valid="<data>/valid.bin",
        test="<data>/test.bin",
        tokenizer="<data>/tokenizer.json",
        meta="<data>/meta.json",
    log:
        "<logs>/tokenize_pack.log",
    conda:
        "../../environment.yml"
    params:
        out=folder,
        reads=reads("tokenize_pack"),
        content=content("tokenize_pack", PARAMS.corpus.path),
        options=options,
    shell:
        "python stages/tokenize_pack.py --out {params.out}{params.options} > {log} 2>&1"
