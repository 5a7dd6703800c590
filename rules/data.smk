"""Datasets -> splits. Needs: what the config's splits name on disk. Makes: results/{run}/splits/{split}.json, checked image by image."""


rule render:
    output:
        images=directory(PATHS.split_images()),
        scenes=PATHS.scene_annotations(),
    log:
        PATHS.log("render", "{split}"),
    conda:
        "../envs/data.yaml"
    threads: COMPUTE["data"]["threads"]
    resources:
        mem_mb=COMPUTE["data"]["mem_mb"],
        runtime=COMPUTE["data"]["runtime"],
    params:
        scene=lambda w: shlex.quote(canonical_json(EXPERIMENTS.splits[w.split].scene)),
    shell:
        'python "$SCRIPTS/render.py" --scene {params.scene} --images {output.images} --annotations {output.scenes}'
        " --workers {threads} > {log} 2>&1"


rule split:
    input:
        unpack(INPUTS.split_sources),
    output:
        split=PATHS.split(),
        ledger=PATHS.split_ledger(),
    log:
        PATHS.log("split", "{split}"),
    conda:
        "../envs/data.yaml"
    threads: COMPUTE["data"]["threads"]
    resources:
        mem_mb=COMPUTE["data"]["mem_mb"],
        runtime=COMPUTE["data"]["runtime"],
    params:
        arguments=lambda w: shlex.quote(canonical_json(EXPERIMENTS.splits[w.split].arguments)),
        inputs=INPUTS.split_arguments,
    shell:
        'python "$SCRIPTS/make_split.py" --spec {params.arguments} --inputs {params.inputs}'
        " --output {output.split} --ledger {output.ledger} --workers {threads} > {log} 2>&1"


rule check_leaks:
    input:
        INPUTS.disjoint_splits,
    output:
        PATHS.leaks(),
    log:
        PATHS.log("check_leaks", "{model}"),
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=COMPUTE["data"]["mem_mb"],
        runtime=COMPUTE["data"]["runtime"],
    params:
        pairs=INPUTS.disjoint_pairs,
    shell:
        'python "$SCRIPTS/check_leaks.py" --pairs {params.pairs} --output {output} > {log} 2>&1'
