"""Models -> predictions -> thresholds -> label sets. Makes: results/{run}/predictions/, gates/, refinements/ and labels/.

predict (sharded) -> gate -> refine (sharded, keypoints only) -> choose_thresholds -> annotate. The thresholds come after all
inference, so that changing one runs none. Their priority is above training's: a student waits for its labels, and should
train beside the other models, not after them.
"""


rule predict:
    input:
        model=lambda w: PATHS.model(EXPERIMENTS.predictions[w.predictions].model),
        split=lambda w: PATHS.split(EXPERIMENTS.predictions[w.predictions].split),
    output:
        PATHS.predictions(),
    log:
        PATHS.log("predict", "{predictions}", "{shard}-of-{shards}"),
    benchmark:
        PATHS.benchmark("predict", "{predictions}", "{shard}-of-{shards}")
    priority: 1
    conda:
        VISION_ENVIRONMENT
    threads: COMPUTE["label"]["threads"]
    resources:
        gpu=COMPUTE["label"]["gpu"],
        mem_mb=growing(COMPUTE["label"]["mem_mb"]),
        runtime=growing(COMPUTE["label"]["runtime"]),
        device=COMPUTE["device"],
    params:
        spec=spec_of(EXPERIMENTS.predictions, "predictions"),
    shell:
        'python "$SCRIPTS/predict.py" --spec {params.spec} --model {input.model} --split {input.split}'
        " --shard {wildcards.shard} --shards {wildcards.shards} --output {output}"
        " --device {resources.device} --threads {threads} > {log} 2>&1"


rule gate:
    input:
        predictions=INPUTS.gate_predictions,
        split=INPUTS.gate_split,
        labelled=lambda w: PATHS.split(EXPERIMENTS.gates[w.gate].labelled),
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
        mem_mb=growing(COMPUTE["data"]["mem_mb"]),
        runtime=growing(COMPUTE["data"]["runtime"]),
    params:
        spec=spec_of(EXPERIMENTS.gates, "gate"),
        task=lambda w: EXPERIMENTS.models[
            EXPERIMENTS.predictions[EXPERIMENTS.gates[w.gate].predictions].model
        ].spec.task,
        predictions=lambda w, input: shard_pattern(input.predictions),
    shell:
        'python "$SCRIPTS/gate.py" --spec {params.spec} --task {params.task} --predictions {params.predictions} --split {input.split} --labelled {input.labelled}'
        " --output {output} > {log} 2>&1"


rule refine:
    input:
        unpack(INPUTS.refinement),
    output:
        PATHS.refinement(),
    log:
        PATHS.log("refine", "{refinement}", "{shard}-of-{shards}"),
    benchmark:
        PATHS.benchmark("refine", "{refinement}", "{shard}-of-{shards}")
    priority: 1
    conda:
        VISION_ENVIRONMENT
    threads: COMPUTE["label"]["threads"]
    resources:
        gpu=COMPUTE["label"]["gpu"],
        mem_mb=growing(COMPUTE["label"]["mem_mb"]),
        runtime=growing(COMPUTE["label"]["runtime"]),
        device=COMPUTE["device"],
    params:
        spec=spec_of(EXPERIMENTS.refinements, "refinement"),
        # Earlier refinements by another gate: the script takes what fits, and runs only the boxes that are missing.
        earlier=PATHS.earlier_refinements(),
        gate=lambda w, input: f"--gate {shlex.quote(input.gate)}" if "gate" in input.keys() else "",
    shell:
        'python "$SCRIPTS/refine.py" --spec {params.spec} --model {input.model} --split {input.split}'
        " --predictions {input.predictions} {params.gate} --reuse {params.earlier} --shard {wildcards.shard} --shards {wildcards.shards}"
        " --output {output} --device {resources.device} --threads {threads} > {log} 2>&1"


rule choose_thresholds:
    input:
        predictions=INPUTS.label_set_predictions,
        refinement=INPUTS.label_set_refinement,
        split=lambda w: PATHS.split(EXPERIMENTS.label_sets[w.label_set].split),
        labelled=lambda w: PATHS.split(EXPERIMENTS.label_sets[w.label_set].labelled),
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
        mem_mb=growing(COMPUTE["data"]["mem_mb"]),
        runtime=growing(COMPUTE["data"]["runtime"]),
    params:
        spec=spec_of(EXPERIMENTS.label_sets, "label_set"),
        task=INPUTS.label_set_task,
        predictions=lambda w, input: shard_pattern(input.predictions),
        refinement=lambda w, input: f"--refinement {shard_pattern(input.refinement)}" if input.refinement else "",
    shell:
        'python "$SCRIPTS/choose_thresholds.py" --spec {params.spec} --task {params.task} --predictions {params.predictions}'
        " {params.refinement} --split {input.split} --labelled {input.labelled} --output {output} > {log} 2>&1"


rule annotate:
    input:
        detections=INPUTS.label_set_detections,
        thresholds=PATHS.labels(file="thresholds.json"),
        split=lambda w: PATHS.split(EXPERIMENTS.label_sets[w.label_set].split),
        labelled=lambda w: PATHS.split(EXPERIMENTS.label_sets[w.label_set].labelled),
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
        mem_mb=growing(COMPUTE["data"]["mem_mb"]),
        runtime=growing(COMPUTE["data"]["runtime"]),
    params:
        spec=spec_of(EXPERIMENTS.label_sets, "label_set"),
        task=INPUTS.label_set_task,
        flag=lambda w: "--refinement" if EXPERIMENTS.label_sets[w.label_set].refinement else "--predictions",
        detections=lambda w, input: shard_pattern(input.detections),
    shell:
        'python "$SCRIPTS/annotate.py" --spec {params.spec} --task {params.task} {params.flag} {params.detections}'
        " --thresholds {input.thresholds} --split {input.split} --labelled {input.labelled}"
        " --output {output.annotations} --provenance {output.provenance} > {log} 2>&1"
