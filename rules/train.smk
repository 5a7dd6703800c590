"""Splits and label sets -> models: one rule for baseline, teacher and student. Makes: results/{run}/models/{model}/."""


def training_inputs(wildcards):
    model = EXPERIMENTS.models[wildcards.model]
    inputs = {"labelled": PATHS.split(model.labelled), "leaks": PATHS.leaks(model.id)}
    if model.label_set:
        inputs["label_set"] = PATHS.labels(model.label_set)
    if model.spec.initial == "teacher":
        inputs["initial_weights"] = PATHS.model(model.teacher)
    elif model.spec.initial == "imagenet":
        inputs["initial_weights"] = PATHS.weights(weights_file(model.spec.network.backbone))
    return inputs


def optional_training_inputs(wildcards, input):
    flags = {"label_set": "--label-set", "initial_weights": "--initial-weights"}
    return " ".join(f"{flag} {shlex.quote(input[key])}" for key, flag in flags.items() if key in input.keys())


def weights_file(backbone):
    return EXPERIMENTS.weights_file(backbone)


rule weights:
    output:
        PATHS.weights("{backbone}"),
    params:
        source=lambda w: shlex.quote(canonical_json(EXPERIMENTS.weights_source(w.backbone))),
    wildcard_constraints:
        backbone=r"[^/]+",
    log:
        PATHS.log("weights", "{backbone}"),
    resources:
        mem_mb=COMPUTE["data"]["mem_mb"],
        runtime=COMPUTE["data"]["runtime"],
    conda:
        "../envs/data.yaml"
    shell:
        "python {SCRIPTS}/get_weights.py --source {params.source} --output {output} > {log} 2>&1"


rule train:
    input:
        unpack(training_inputs),
    output:
        model=PATHS.model(),
        metrics=PATHS.metrics(),
        drawn=PATHS.drawn(),
    params:
        spec=spec_of(EXPERIMENTS.models, "model"),
        optional=optional_training_inputs,
        # No output: Snakemake deletes a failed job's outputs, and training must be able to go on.
        checkpoint=PATHS.checkpoint(),
    log:
        PATHS.log("train", "{model}"),
    benchmark:
        PATHS.benchmark("train", "{model}")
    threads: COMPUTE["train"]["threads"]
    resources:
        gpu=COMPUTE["train"]["gpu"],
        mem_mb=COMPUTE["train"]["mem_mb"],
        runtime=COMPUTE["train"]["runtime"],
        processes=COMPUTE["train"]["processes"],
    conda:
        "../envs/vision.yaml"
    shell:
        "python {SCRIPTS}/launch.py --processes {resources.processes} --"
        " {SCRIPTS}/train.py --spec {params.spec} --labelled {input.labelled} {params.optional}"
        " --model {output.model} --metrics {output.metrics} --drawn {output.drawn}"
        " --checkpoint {params.checkpoint} --checkpoint-every {COMPUTE[checkpoint_every]} --device {COMPUTE[device]} --threads {threads}"
        " --workers {COMPUTE[train][workers]} --processes {resources.processes} >> {log} 2>&1"
