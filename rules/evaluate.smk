"""Predictions -> COCO metrics. Makes: results/{run}/evaluations/{model}/{split}/{mode}.json."""


rule score:
    input:
        predictions=INPUTS.evaluated_shards,
        split=lambda w: PATHS.split(EXPERIMENTS.evaluations[w.evaluation].split),
        # What training drew is compared with the split once more, before it is scored.
        drawn=lambda w: PATHS.drawn(EXPERIMENTS.evaluations[w.evaluation].model),
    output:
        PATHS.evaluation(),
    log:
        PATHS.log("score", "{evaluation}"),
    benchmark:
        PATHS.benchmark("score", "{evaluation}")
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=growing(COMPUTE["data"]["mem_mb"]),
        runtime=growing(COMPUTE["data"]["runtime"]),
    params:
        spec=spec_of(EXPERIMENTS.evaluations, "evaluation"),
        task=lambda w: EXPERIMENTS.models[EXPERIMENTS.evaluations[w.evaluation].model].spec.task,
    shell:
        'python "$SCRIPTS/score.py" --spec {params.spec} --task {params.task} --split {input.split}'
        " --predictions {input.predictions} --drawn {input.drawn} --output {output} > {log} 2>&1"
