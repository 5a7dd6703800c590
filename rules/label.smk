"""Models -> predictions -> thresholds -> label sets. Makes: results/{run}/predictions/, gates/, refinements/ and labels/.

predict (sharded) -> gate -> refine (sharded, keypoints only) -> choose_thresholds -> annotate. The thresholds come after all
inference, so that changing one runs none.
"""


def label_set_predictions(wildcards):
    return prediction_shards(EXPERIMENTS.label_sets[wildcards.label_set].predictions)


def label_set_refinement(wildcards):
    refinement = EXPERIMENTS.label_sets[wildcards.label_set].refinement
    return refinement_shards(refinement) if refinement else []


def label_set_detections(wildcards):
    """What the labels are made of: the refinement where the task has one, else the predictions."""
    return label_set_refinement(wildcards) or label_set_predictions(wildcards)


rule predict:
    input:
        model=lambda w: PATHS.model(EXPERIMENTS.predictions[w.predictions].model),
        split=lambda w: PATHS.split(EXPERIMENTS.predictions[w.predictions].split),
    output:
        PATHS.predictions(),
    params:
        spec=spec_of(EXPERIMENTS.predictions, "predictions"),
    log:
        PATHS.log("predict", "{predictions}", "{shard}-of-{shards}"),
    benchmark:
        PATHS.benchmark("predict", "{predictions}", "{shard}-of-{shards}")
    threads: COMPUTE["label"]["threads"]
    resources:
        gpu=COMPUTE["label"]["gpu"],
        mem_mb=COMPUTE["label"]["mem_mb"],
        runtime=COMPUTE["label"]["runtime"],
    conda:
        "../envs/vision.yaml"
    shell:
        "python {SCRIPTS}/predict.py --spec {params.spec} --model {input.model} --split {input.split}"
        " --shard {wildcards.shard} --shards {wildcards.shards} --output {output}"
        " --device {COMPUTE[device]} --threads {threads} > {log} 2>&1"


rule gate:
    input:
        predictions=lambda w: prediction_shards(EXPERIMENTS.gates[w.gate].predictions),
        split=lambda w: PATHS.split(EXPERIMENTS.predictions[EXPERIMENTS.gates[w.gate].predictions].split),
        labelled=lambda w: PATHS.split(EXPERIMENTS.gates[w.gate].labelled),
    output:
        PATHS.gate(),
    params:
        spec=spec_of(EXPERIMENTS.gates, "gate"),
    log:
        PATHS.log("gate", "{gate}"),
    resources:
        mem_mb=COMPUTE["data"]["mem_mb"],
        runtime=COMPUTE["data"]["runtime"],
    conda:
        "../envs/data.yaml"
    shell:
        "python {SCRIPTS}/gate.py --spec {params.spec} --predictions {input.predictions} --split {input.split} --labelled {input.labelled}"
        " --output {output} > {log} 2>&1"


def refinement_inputs(wildcards):
    refinement = EXPERIMENTS.refinements[wildcards.refinement]
    predictions = EXPERIMENTS.predictions[refinement.predictions]
    inputs = {
        "model": PATHS.model(predictions.model),
        "split": PATHS.split(predictions.split),
        "predictions": PATHS.predictions(predictions.id, wildcards.shard, wildcards.shards),
    }
    return inputs | ({"gate": PATHS.gate(refinement.gate)} if refinement.gate else {})


rule refine:
    input:
        unpack(refinement_inputs),
    output:
        PATHS.refinement(),
    params:
        spec=spec_of(EXPERIMENTS.refinements, "refinement"),
        # Earlier refinements by another gate: the script takes what fits, and runs only the boxes that are missing.
        earlier=PATHS.earlier_refinements(),
        gate=lambda w, input: f"--gate {shlex.quote(input.gate)}" if "gate" in input.keys() else "",
    log:
        PATHS.log("refine", "{refinement}", "{shard}-of-{shards}"),
    benchmark:
        PATHS.benchmark("refine", "{refinement}", "{shard}-of-{shards}")
    threads: COMPUTE["label"]["threads"]
    resources:
        gpu=COMPUTE["label"]["gpu"],
        mem_mb=COMPUTE["label"]["mem_mb"],
        runtime=COMPUTE["label"]["runtime"],
    conda:
        "../envs/vision.yaml"
    shell:
        "python {SCRIPTS}/refine.py --spec {params.spec} --model {input.model} --split {input.split}"
        " --predictions {input.predictions} {params.gate} --reuse {params.earlier} --shard {wildcards.shard} --shards {wildcards.shards}"
        " --output {output} --device {COMPUTE[device]} --threads {threads} > {log} 2>&1"


rule choose_thresholds:
    input:
        predictions=label_set_predictions,
        refinement=label_set_refinement,
        split=lambda w: PATHS.split(EXPERIMENTS.label_sets[w.label_set].split),
        labelled=lambda w: PATHS.split(EXPERIMENTS.label_sets[w.label_set].labelled),
    output:
        PATHS.labels(file="thresholds.json"),
    params:
        spec=spec_of(EXPERIMENTS.label_sets, "label_set"),
        task=lambda w: EXPERIMENTS.models[EXPERIMENTS.label_sets[w.label_set].teacher].spec.task,
        refinement=lambda w, input: f"--refinement {' '.join(map(shlex.quote, input.refinement))}" if input.refinement else "",
    log:
        PATHS.log("choose_thresholds", "{label_set}"),
    resources:
        mem_mb=COMPUTE["data"]["mem_mb"],
        runtime=COMPUTE["data"]["runtime"],
    conda:
        "../envs/data.yaml"
    shell:
        "python {SCRIPTS}/choose_thresholds.py --spec {params.spec} --task {params.task} --predictions {input.predictions}"
        " {params.refinement} --split {input.split} --labelled {input.labelled} --output {output} > {log} 2>&1"


rule annotate:
    input:
        detections=label_set_detections,
        thresholds=PATHS.labels(file="thresholds.json"),
        split=lambda w: PATHS.split(EXPERIMENTS.label_sets[w.label_set].split),
        labelled=lambda w: PATHS.split(EXPERIMENTS.label_sets[w.label_set].labelled),
    output:
        annotations=PATHS.labels(),
        provenance=PATHS.labels(file="provenance.json"),
    params:
        spec=spec_of(EXPERIMENTS.label_sets, "label_set"),
        task=lambda w: EXPERIMENTS.models[EXPERIMENTS.label_sets[w.label_set].teacher].spec.task,
        flag=lambda w: "--refinement" if EXPERIMENTS.label_sets[w.label_set].refinement else "--predictions",
    log:
        PATHS.log("annotate", "{label_set}"),
    resources:
        mem_mb=COMPUTE["data"]["mem_mb"],
        runtime=COMPUTE["data"]["runtime"],
    conda:
        "../envs/data.yaml"
    shell:
        "python {SCRIPTS}/annotate.py --spec {params.spec} --task {params.task} {params.flag} {input.detections}"
        " --thresholds {input.thresholds} --split {input.split} --labelled {input.labelled}"
        " --output {output.annotations} --provenance {output.provenance} > {log} 2>&1"
