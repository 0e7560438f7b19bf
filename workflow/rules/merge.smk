if PARAMS.shards.couplings > 1:

    rule merge_couplings:
        input:
            parts=shards("couplings", "<results>/couplings-{shard}/{teacher}/couplings.safetensors"),
        output:
            "<results>/couplings/{teacher}/couplings.safetensors",
            "<results>/couplings/{teacher}/meta.json",
        log:
            "<logs>/merge_couplings/{teacher}.log",
        benchmark:
            "<benchmarks>/merge_couplings/{teacher}.tsv"
        conda:
            "../../environment.yml"
        params:
            out=subpath(output[0], parent=True),
            reads=reads("merge"),
            options=options,
        shell:
            "python stages/merge.py --parts {input.parts} --out {params.out}{params.options} > {log} 2>&1"


if PARAMS.shards.samples > 1:

    rule merge_samples:
        input:
            parts=shards("samples", "<results>/{task}samples-{shard}/{model}/samples.safetensors"),
        output:
            "<results>/{task}samples/{model}/samples.safetensors",
            "<results>/{task}samples/{model}/meta.json",
        log:
            "<logs>/merge_samples/{task}{model}.log",
        benchmark:
            "<benchmarks>/merge_samples/{task}{model}.tsv"
        wildcard_constraints:
            task="(conditional/)?",
        conda:
            "../../environment.yml"
        params:
            out=subpath(output[0], parent=True),
            reads=reads("merge"),
            options=options,
        shell:
            "python stages/merge.py --parts {input.parts} --out {params.out}{params.options} > {log} 2>&1"
