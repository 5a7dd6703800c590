"""Datasets -> splits. Needs: what the config's splits name on disk. Makes: results/{run}/splits/{split}.json, checked image by image."""


def split_sources(wildcards):
    split = EXPERIMENTS.splits[wildcards.split]
    derived = {f"of_{number}": PATHS.split(source) for number, source in enumerate(split.sources)}
    if split.kind == "rendered":
        return {"scenes": PATHS.scene_annotations(split.id)}
    if split.kind == "coco":
        return {"annotations": split.arguments["annotations"]}
    return derived


def split_inputs(wildcards):
    sources = EXPERIMENTS.splits[wildcards.split].sources
    return " ".join(shlex.quote(f"{source}={PATHS.split(source)}") for source in sources)


rule render:
    output:
        images=directory(PATHS.split_images()),
        scenes=PATHS.scene_annotations(),
    params:
        scene=lambda w: shlex.quote(canonical_json(EXPERIMENTS.splits[w.split].scene)),
    log:
        PATHS.log("render", "{split}"),
    threads: COMPUTE["data"]["threads"]
    resources:
        mem_mb=COMPUTE["data"]["mem_mb"],
        runtime=COMPUTE["data"]["runtime"],
    conda:
        "../envs/data.yaml"
    shell:
        "python {SCRIPTS}/render.py --scene {params.scene} --images {output.images} --annotations {output.scenes}"
        " --workers {threads} > {log} 2>&1"


rule split:
    input:
        unpack(split_sources),
    output:
        split=PATHS.split(),
        ledger=PATHS.split_ledger(),
    params:
        arguments=lambda w: shlex.quote(canonical_json(EXPERIMENTS.splits[w.split].arguments)),
        inputs=split_inputs,
    log:
        PATHS.log("split", "{split}"),
    threads: COMPUTE["data"]["threads"]
    resources:
        mem_mb=COMPUTE["data"]["mem_mb"],
        runtime=COMPUTE["data"]["runtime"],
    conda:
        "../envs/data.yaml"
    shell:
        "python {SCRIPTS}/make_split.py --spec {params.arguments} --inputs {params.inputs}"
        " --output {output.split} --ledger {output.ledger} --workers {threads} > {log} 2>&1"


rule check_leaks:
    input:
        lambda w: [PATHS.split(s) for pair in EXPERIMENTS.disjoint_splits(w.model) for s in pair],
    output:
        PATHS.leaks(),
    params:
        pairs=lambda w: " ".join(
            shlex.quote(f"{PATHS.split(a)}:{PATHS.split(b)}") for a, b in EXPERIMENTS.disjoint_splits(w.model)
        ),
    log:
        PATHS.log("check_leaks", "{model}"),
    resources:
        mem_mb=COMPUTE["data"]["mem_mb"],
        runtime=COMPUTE["data"]["runtime"],
    conda:
        "../envs/data.yaml"
    shell:
        "python {SCRIPTS}/check_leaks.py --pairs {params.pairs} --output {output} > {log} 2>&1"
