"""Predictions -> COCO metrics. Makes: results/{run}/evaluations/{model}/{split}/{mode}.json."""


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
