"""Predictions -> COCO metrics. Makes: results/{run}/evaluations/{model}/{split}/{mode}.json."""


def evaluated_shards(wildcards):
    evaluation = EXPERIMENTS.evaluations[wildcards.evaluation]
    if evaluation.refinement:
        return refinement_shards(evaluation.refinement)
    return prediction_shards(evaluation.predictions)


rule score:
    input:
        predictions=evaluated_shards,
        split=lambda w: PATHS.split(EXPERIMENTS.evaluations[w.evaluation].split),
        # What training drew is compared with the split once more, before it is scored.
        drawn=lambda w: PATHS.drawn(EXPERIMENTS.evaluations[w.evaluation].model),
    output:
        PATHS.evaluation(),
    params:
        spec=spec_of(EXPERIMENTS.evaluations, "evaluation"),
        task=lambda w: EXPERIMENTS.models[EXPERIMENTS.evaluations[w.evaluation].model].spec.task,
    log:
        PATHS.log("score", "{evaluation}"),
    resources:
        mem_mb=COMPUTE["data"]["mem_mb"],
        runtime=COMPUTE["data"]["runtime"],
    conda:
        "../envs/data.yaml"
    shell:
        "python {SCRIPTS}/score.py --spec {params.spec} --task {params.task} --split {input.split}"
        " --predictions {input.predictions} --drawn {input.drawn} --output {output} > {log} 2>&1"
