"""Models -> predictions -> thresholds -> label sets. Makes: results/{run}/predictions/, gates/, refinements/ and labels/.

predict (sharded) -> gate -> refine (sharded, keypoints only) -> choose_thresholds -> annotate. The thresholds come after all
inference, so that changing one runs none. Their priority is above training's: a student waits for its labels, and should
train beside the other models, not after them.
"""


rule predict:
    input:
        model=lambda w: PREDICTIONS[w.predictions].model.file,
        split=lambda w: PREDICTIONS[w.predictions].split.file,
    output:
        PATHS.predictions(),
    log:
        PATHS.log("predict", "{predictions}", "{shard}-of-{shards}"),
    benchmark:
        PATHS.benchmark("predict", "{predictions}", "{shard}-of-{shards}")
    priority: 1
    conda:
        VISION_ENVIRONMENT
    threads: THREADS["label"]
    resources:
        **RESOURCES["label"],
    params:
        spec=spec_of(PREDICTIONS, "predictions"),
        # Kept by training until the model is known to be whole and recorded.
        checkpoint=lambda w: PATHS.checkpoint(PREDICTIONS[w.predictions].model.id),
    shell:
        'python "$SCRIPTS/predict.py" --spec {params.spec:q} --model {input.model:q} --checkpoint {params.checkpoint:q}'
        " --split {input.split:q} --shard {wildcards.shard:q} --shards {wildcards.shards:q} --output {output:q}"
        " --device {resources.device:q} --memory-format {resources.memory_format:q} --threads {threads:q} > {log:q} 2>&1"


rule gate:
    input:
        predictions=lambda w: GATES[w.gate].predictions.files,
        split=lambda w: GATES[w.gate].predictions.split.file,
        labelled=lambda w: GATES[w.gate].labelled.file,
    output:
        PATHS.gate(),
    log:
        PATHS.log("gate", "{gate}"),
    benchmark:
        PATHS.benchmark("gate", "{gate}")
    priority: 1
    conda:
        "../envs/data.yaml"
    resources:
        **RESOURCES["data"],
        # As text: Snakemake rounds a number. As a resource: what the gate covers is in the spec, how much more is not.
        gate_margin=lambda w: f"{EXPERIMENTS.gate_margins[w.gate]:g}",
    params:
        spec=spec_of(GATES, "gate"),
        task=lambda w: GATES[w.gate].predictions.model.spec.task,
        predictions=lambda w, input: shard_pattern(input.predictions),
    shell:
        'python "$SCRIPTS/gate.py" --spec {params.spec:q} --task {params.task:q} --margin {resources.gate_margin:q} --predictions {params.predictions}'
        " --split {input.split:q} --labelled {input.labelled:q} --output {output:q} > {log:q} 2>&1"


rule refine:
    input:
        model=lambda w: REFINEMENTS[w.refinement].predictions.model.file,
        split=lambda w: REFINEMENTS[w.refinement].predictions.split.file,
        predictions=lambda w: PATHS.predictions(REFINEMENTS[w.refinement].predictions.id, w.shard, w.shards),
        gate=lambda w: REFINEMENTS[w.refinement].gate.file if REFINEMENTS[w.refinement].gate else [],
    output:
        PATHS.refinement(),
    log:
        PATHS.log("refine", "{refinement}", "{shard}-of-{shards}"),
    benchmark:
        PATHS.benchmark("refine", "{refinement}", "{shard}-of-{shards}")
    priority: 1
    conda:
        VISION_ENVIRONMENT
    threads: THREADS["label"]
    resources:
        **RESOURCES["label"],
    params:
        spec=spec_of(REFINEMENTS, "refinement"),
        # No input: of the refinements by another gate that happen to be there, the script takes what fits, and runs only
        # the boxes that are missing.
        earlier=lambda w, output: os.path.dirname(os.path.dirname(output[0])),
    shell:
        'python "$SCRIPTS/refine.py" --spec {params.spec:q} --model {input.model:q} --split {input.split:q}'
        " --predictions {input.predictions:q} --gate {input.gate:q} --reuse {params.earlier:q}"
        " --shard {wildcards.shard:q} --shards {wildcards.shards:q} --output {output:q}"
        " --device {resources.device:q} --memory-format {resources.memory_format:q} --threads {threads:q} > {log:q} 2>&1"


rule choose_thresholds:
    input:
        predictions=lambda w: LABEL_SETS[w.label_set].predictions.files,
        refinement=lambda w: LABEL_SETS[w.label_set].refinement.files if LABEL_SETS[w.label_set].refinement else [],
        split=lambda w: LABEL_SETS[w.label_set].split.file,
        labelled=lambda w: LABEL_SETS[w.label_set].labelled.file,
    output:
        PATHS.labels(file="thresholds.json"),
    log:
        PATHS.log("choose_thresholds", "{label_set}"),
    benchmark:
        PATHS.benchmark("choose_thresholds", "{label_set}")
    priority: 1
    conda:
        "../envs/data.yaml"
    resources:
        **RESOURCES["data"],
    params:
        spec=spec_of(LABEL_SETS, "label_set"),
        task=lambda w: LABEL_SETS[w.label_set].task,
        predictions=lambda w, input: shard_pattern(input.predictions),
        refinement=lambda w, input: shard_pattern(input.refinement),
    shell:
        'python "$SCRIPTS/choose_thresholds.py" --spec {params.spec:q} --task {params.task:q}'
        " --predictions {params.predictions} --refinement {params.refinement}"
        " --split {input.split:q} --labelled {input.labelled:q} --output {output:q} > {log:q} 2>&1"


rule annotate:
    input:
        detections=lambda w: LABEL_SETS[w.label_set].detections.files,
        thresholds=PATHS.labels(file="thresholds.json"),
        split=lambda w: LABEL_SETS[w.label_set].split.file,
        labelled=lambda w: LABEL_SETS[w.label_set].labelled.file,
    output:
        annotations=PATHS.labels(),
        provenance=PATHS.labels(file="provenance.json"),
    log:
        PATHS.log("annotate", "{label_set}"),
    benchmark:
        PATHS.benchmark("annotate", "{label_set}")
    priority: 1
    conda:
        "../envs/data.yaml"
    resources:
        **RESOURCES["data"],
    params:
        spec=spec_of(LABEL_SETS, "label_set"),
        task=lambda w: LABEL_SETS[w.label_set].task,
        detections=lambda w, input: shard_pattern(input.detections),
    shell:
        'python "$SCRIPTS/annotate.py" --spec {params.spec:q} --task {params.task:q} --detections {params.detections}'
        " --thresholds {input.thresholds:q} --split {input.split:q} --labelled {input.labelled:q}"
        " --output {output.annotations:q} --provenance {output.provenance:q} > {log:q} 2>&1"
