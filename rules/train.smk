"""Splits and label sets -> models: one rule for baseline, teacher and student. Makes: results/{run}/models/{model}/."""


rule weights:
    output:
        PATHS.weights(),
    log:
        PATHS.log("weights", "{weights}"),
    benchmark:
        PATHS.benchmark("weights", "{weights}")
    priority: 10
    # They are loaded into the networks that start from them, as a check.
    conda:
        VISION_ENVIRONMENT
    resources:
        **RESOURCES["data"],
    params:
        # No output: Snakemake would delete it, and other weights could take the place of those that models began with.
        record=PATHS.weights_record(),
    # All runs share them, so nothing of one run may rerun this: what it needs to know is in a note.
    shell:
        'python "$SCRIPTS/get_weights.py" --source "$SOURCES/weights/"{wildcards.weights:q}.json --output {output:q}'
        " --record {params.record:q} > {log:q} 2>&1"


rule check_weights:
    input:
        # Ancient: fetched again, they are the same.
        ancient(PATHS.weights()),
    output:
        # One file for each network, so that another network is another job. An `ancient` file that is made again hides from Snakemake
        # that what reads it has reasons of its own to run.
        PATHS.weights_check(),
    log:
        PATHS.log("check_weights", "{weights}", "{network}"),
    benchmark:
        PATHS.benchmark("check_weights", "{weights}", "{network}")
    priority: 10
    conda:
        VISION_ENVIRONMENT
    resources:
        **RESOURCES["data"],
    params:
        record=PATHS.weights_record(),
        network=lambda w: canonical_json(networks_from(EXPERIMENTS.weights[w.weights], MODELS.values())[w.network]),
    shell:
        'python "$SCRIPTS/check_weights.py" --weights {input:q} --record {params.record:q} --network {params.network:q}'
        " --output {output:q} > {log:q} 2>&1"


rule train:
    input:
        labelled=lambda w: MODELS[w.model].labelled.file,
        label_set=lambda w: MODELS[w.model].label_set.file if MODELS[w.model].label_set else [],
        teacher=lambda w: MODELS[w.model].initial.file if MODELS[w.model].spec.initial == "teacher" else [],
        proposals=lambda w: MODELS[w.model].proposals.file if MODELS[w.model].proposals else [],
        # Ancient: the same weights, fetched or checked again, and another evaluation split mean no other model.
        weights=ancient(lambda w: MODELS[w.model].initial.file if MODELS[w.model].spec.initial == "imagenet" else []),
        fit=ancient(lambda w: weights_check(PATHS, MODELS[w.model])),
        leaks=ancient(PATHS.leaks()),
    output:
        model=PATHS.model(),
        metrics=PATHS.metrics(),
        drawn=PATHS.drawn(),
    log:
        PATHS.log("train", "{model}"),
    benchmark:
        PATHS.benchmark("train", "{model}")
    conda:
        VISION_ENVIRONMENT
    threads: THREADS["train"]
    resources:
        **RESOURCES["train"],
    params:
        spec=spec_of(MODELS, "model"),
        # No output: Snakemake deletes a failed job's outputs, and training must be able to go on.
        checkpoint=PATHS.checkpoint(),
    # exec: of a signal to the whole job a shell in between would die at once, and the job be over before the checkpoint is written.
    shell:
        'exec python "$SCRIPTS/launch.py" --processes {resources.processes:q} --'
        ' "$SCRIPTS/train.py" --spec {params.spec:q} --labelled {input.labelled:q} --label-set {input.label_set:q}'
        " --initial-weights {input.teacher:q} {input.weights:q} --teacher {input.proposals:q}"
        " --model {output.model:q} --metrics {output.metrics:q} --drawn {output.drawn:q} --checkpoint {params.checkpoint:q}"
        " --checkpoint-every {resources.checkpoint_every:q} --device {resources.device:q} --memory-format {resources.memory_format:q} --threads {threads:q}"
        " --workers {resources.workers:q} --processes {resources.processes:q} >> {log:q} 2>&1"
