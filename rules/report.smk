"""COCO metrics and label sets -> tables and figures. Makes: results/{run}/tables/ and figures/."""


rule table:
    input:
        lambda w: table_inputs(EXPERIMENTS, w.table),
    output:
        markdown=PATHS.table(suffix="md"),
        csv=PATHS.table(suffix="csv"),
        latex=PATHS.table(suffix="tex"),
    log:
        PATHS.log("table", "{table}"),
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=COMPUTE["report"]["mem_mb"],
        runtime=COMPUTE["report"]["runtime"],
    params:
        definition=lambda w: shlex.quote(canonical_json(table_definition(EXPERIMENTS, w.table))),
    shell:
        'python "$SCRIPTS/make_table.py" --definition {params.definition} --published "$SCRIPTS/../config/published.yaml"'
        " --output-dir $(dirname {output.markdown}) > {log} 2>&1"


rule label_quality:
    input:
        unpack(INPUTS.label_quality),
    output:
        json=PATHS.labels(file="quality.json"),
        page=PATHS.labels(file="quality.md"),
    log:
        PATHS.log("label_quality", "{label_set}"),
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=COMPUTE["report"]["mem_mb"],
        runtime=COMPUTE["report"]["runtime"],
    params:
        task=INPUTS.label_set_task,
        names=INPUTS.label_quality_names,
        title=lambda w: shlex.quote(INPUTS.label_set_title(w)),
        note=shlex.quote(CONFIG["data_note"]),
    shell:
        'python "$SCRIPTS/label_quality.py" --task {params.task} --labels {input.labels} --truth {input.truth}'
        " {params.names} --title {params.title} --note {params.note}"
        " --output {output.json} --pages {output.page} > {log} 2>&1"


rule thresholds_page:
    input:
        PATHS.labels(file="thresholds.json"),
    output:
        PATHS.labels(file="thresholds.md"),
    log:
        PATHS.log("thresholds_page", "{label_set}"),
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=COMPUTE["report"]["mem_mb"],
        runtime=COMPUTE["report"]["runtime"],
    params:
        title=lambda w: shlex.quote(INPUTS.label_set_title(w)),
        note=shlex.quote(CONFIG["data_note"]),
    shell:
        'python "$SCRIPTS/thresholds_page.py" --thresholds {input} --title {params.title} --note {params.note}'
        " --output {output} > {log} 2>&1"


rule explain_ensemble:
    input:
        unpack(INPUTS.ensemble),
    output:
        PATHS.figure_data(),
    log:
        PATHS.log("explain_ensemble", "{figure}"),
    conda:
        "../envs/vision.yaml"
    threads: COMPUTE["label"]["threads"]
    resources:
        gpu=COMPUTE["label"]["gpu"],
        mem_mb=COMPUTE["label"]["mem_mb"],
        runtime=COMPUTE["label"]["runtime"],
    params:
        spec=INPUTS.ensemble_spec,
        truth=lambda w, input: f"--truth {shlex.quote(input.truth)}" if "truth" in input.keys() else "",
    shell:
        'python "$SCRIPTS/explain_ensemble.py" --spec {params.spec} --model {input.model} --split {input.split}'
        " --labels {input.labels} {params.truth} --output {output} --device {COMPUTE[device]} --threads {threads} > {log} 2>&1"


rule figure:
    input:
        lambda w: figure_parts(EXPERIMENTS, w.figure)[0],
    output:
        pdf=PATHS.figure(suffix="pdf"),
        png=PATHS.figure(suffix="png"),
    log:
        PATHS.log("figure", "{figure}"),
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=COMPUTE["report"]["mem_mb"],
        runtime=COMPUTE["report"]["runtime"],
    params:
        arguments=lambda w: shlex.join(figure_parts(EXPERIMENTS, w.figure)[1]),
        stem=PATHS.figure(suffix="png").removesuffix(".png"),
    shell:
        'python "$SCRIPTS/make_figure.py" {params.arguments} --output-stem {params.stem} > {log} 2>&1'
