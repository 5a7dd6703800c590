"""Predictions -> COCO metrics, and how good labels are on held-out images.

Makes: results/{run}/evaluations/{model}/{split}/{mode}.json, results/{run}/held-out/{label_set}/{split}/labels.json.
"""


rule score:
    input:
        detections=lambda w: EVALUATIONS[w.evaluation].detections.files,
        split=lambda w: EVALUATIONS[w.evaluation].split.file,
        # What training drew is compared with the split once more, before it is scored.
        drawn=lambda w: EVALUATIONS[w.evaluation].model.drawn,
    output:
        PATHS.evaluation(),
    log:
        PATHS.log("score", "{evaluation}"),
    benchmark:
        PATHS.benchmark("score", "{evaluation}")
    conda:
        "../envs/data.yaml"
    resources:
        **RESOURCES["data"],
    params:
        spec=spec_of(EVALUATIONS, "evaluation"),
        task=lambda w: EVALUATIONS[w.evaluation].model.task,
        detections=lambda w, input: shard_pattern(input.detections),
    shell:
        'python "$SCRIPTS/score.py" --spec {params.spec:q} --task {params.task:q} --split {input.split:q}'
        " --predictions {params.detections} --drawn {input.drawn:q} --output {output:q} > {log:q} 2>&1"


rule judge_labels:
    input:
        detections=lambda w: HELD_OUT_LABELS[w.held_out].detections.files,
        split=lambda w: HELD_OUT_LABELS[w.held_out].split.file,
        thresholds=lambda w: HELD_OUT_LABELS[w.held_out].label_set.made("thresholds.json"),
        drawn=lambda w: HELD_OUT_LABELS[w.held_out].label_set.teacher.drawn,
        leaks=PATHS.held_out_leaks(),
    output:
        PATHS.held_out_labels(),
    log:
        PATHS.log("judge_labels", "{held_out}"),
    benchmark:
        PATHS.benchmark("judge_labels", "{held_out}")
    conda:
        "../envs/data.yaml"
    resources:
        **RESOURCES["data"],
    params:
        task=lambda w: HELD_OUT_LABELS[w.held_out].label_set.task,
        detections=lambda w, input: shard_pattern(input.detections),
    shell:
        'python "$SCRIPTS/judge_labels.py" --task {params.task:q} --split {input.split:q} --thresholds {input.thresholds:q}'
        " --detections {params.detections} --drawn {input.drawn:q} --output {output:q} > {log:q} 2>&1"
