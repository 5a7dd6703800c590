"""Splits and label sets -> models: one rule for baseline, teacher and student. Makes: results/{run}/models/{model}/."""


rule weights:
    output:
        weights=PATHS.weights("{backbone}"),
        record=PATHS.weights("{backbone}.json"),
    log:
        PATHS.log("weights", "{backbone}"),
    benchmark:
        PATHS.benchmark("weights", "{backbone}")
    wildcard_constraints:
        backbone=r"[^/]+",
    priority: 10
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=growing(COMPUTE["data"]["mem_mb"]),
        runtime=growing(COMPUTE["data"]["runtime"]),
    params:
        source=lambda w: shlex.quote(canonical_json(EXPERIMENTS.weights_source(w.backbone))),
    shell:
        'python "$SCRIPTS/get_weights.py" --source {params.source} --output {output.weights} --record {output.record} > {log} 2>&1'


rule train:
    input:
        unpack(INPUTS.training),
        # Checked before training; ancient, because another evaluation split means another check, never other weights.
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
    threads: COMPUTE["train"]["threads"]
    resources:
        gpu=COMPUTE["train"]["gpu"],
        mem_mb=growing(COMPUTE["train"]["mem_mb"]),
        # Doesn't grow: training goes on from its checkpoint, so another attempt needs no longer one.
        runtime=COMPUTE["train"]["runtime"],
        # As resources, settings that can't change the result may change without a rerun.
        processes=COMPUTE["train"]["processes"],
        workers=COMPUTE["train"]["workers"],
        checkpoint_every=COMPUTE["checkpoint_every"],
        device=COMPUTE["device"],
    params:
        spec=spec_of(EXPERIMENTS.models, "model"),
        optional=INPUTS.optional_training,
        # No output: Snakemake deletes a failed job's outputs, and training must be able to go on.
        checkpoint=PATHS.checkpoint(),
    # exec: of a signal to the whole job a shell in between would die at once, and the job be over before the checkpoint is written.
    shell:
        'exec python "$SCRIPTS/launch.py" --processes {resources.processes} --'
        ' "$SCRIPTS/train.py" --spec {params.spec} --labelled {input.labelled} {params.optional}'
        " --model {output.model} --metrics {output.metrics} --drawn {output.drawn}"
        " --checkpoint {params.checkpoint} --checkpoint-every {resources.checkpoint_every} --device {resources.device} --threads {threads}"
        " --workers {resources.workers} --processes {resources.processes} >> {log} 2>&1"
