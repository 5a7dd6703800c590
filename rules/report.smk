"""COCO metrics and label sets -> tables and figures. Makes: results/{run}/tables/ and figures/."""


rule table:
    input:
        lambda w: table_inputs(EXPERIMENTS, w.table),
    output:
        markdown=PATHS.table(suffix="md"),
        csv=PATHS.table(suffix="csv"),
        latex=PATHS.table(suffix="tex"),
    params:
        definition=lambda w: shlex.quote(canonical_json(table_definition(EXPERIMENTS, w.table))),
    log:
        PATHS.log("table", "{table}"),
    resources:
        mem_mb=COMPUTE["report"]["mem_mb"],
        runtime=COMPUTE["report"]["runtime"],
    conda:
        "../envs/report.yaml"
    shell:
        "python {SCRIPTS}/make_table.py --definition {params.definition} --published {PUBLISHED}"
        " --output-dir $(dirname {output.markdown}) > {log} 2>&1"


rule label_quality:
    input:
        labels=PATHS.labels(),
        truth=lambda w: PATHS.split(EXPERIMENTS.label_sets[w.label_set].truth),
    output:
        json=PATHS.labels(file="quality.json"),
        page=PATHS.labels(file="quality.md"),
    params:
        task=lambda w: EXPERIMENTS.models[EXPERIMENTS.label_sets[w.label_set].teacher].spec.task,
    log:
        PATHS.log("label_quality", "{label_set}"),
    resources:
        mem_mb=COMPUTE["report"]["mem_mb"],
        runtime=COMPUTE["report"]["runtime"],
    conda:
        "../envs/report.yaml"
    shell:
        "python {SCRIPTS}/label_quality.py --task {params.task} --labels {input.labels} --truth {input.truth}"
        " --output {output.json} --pages {output.page} > {log} 2>&1"
