"""COCO metrics and label sets -> tables and figures. Makes: results/{run}/tables/ and figures/.

Targets: every table and figure by its name, `tables_from_existing`, and `report_pages`, what the HTML report shows.
"""


report: "../report/workflow.rst"


rule table:
    input:
        lambda w: table_inputs(EXPERIMENTS, w.table),
    output:
        markdown=PATHS.table(suffix="md"),
        csv=PATHS.table(suffix="csv"),
        latex=PATHS.table(suffix="tex"),
    log:
        PATHS.log("table", "{table}"),
    benchmark:
        PATHS.benchmark("table", "{table}")
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=growing(COMPUTE["report"]["mem_mb"]),
        runtime=growing(COMPUTE["report"]["runtime"]),
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
    benchmark:
        PATHS.benchmark("label_quality", "{label_set}")
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=growing(COMPUTE["report"]["mem_mb"]),
        runtime=growing(COMPUTE["report"]["runtime"]),
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
    benchmark:
        PATHS.benchmark("thresholds_page", "{label_set}")
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=growing(COMPUTE["report"]["mem_mb"]),
        runtime=growing(COMPUTE["report"]["runtime"]),
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
    benchmark:
        PATHS.benchmark("explain_ensemble", "{figure}")
    conda:
        VISION_ENVIRONMENT
    threads: COMPUTE["label"]["threads"]
    resources:
        gpu=COMPUTE["label"]["gpu"],
        mem_mb=growing(COMPUTE["label"]["mem_mb"]),
        runtime=growing(COMPUTE["label"]["runtime"]),
        device=COMPUTE["device"],
    params:
        spec=INPUTS.ensemble_spec,
        truth=lambda w, input: f"--truth {shlex.quote(input.truth)}" if "truth" in input.keys() else "",
    shell:
        'python "$SCRIPTS/explain_ensemble.py" --spec {params.spec} --model {input.model} --split {input.split}'
        " --labels {input.labels} {params.truth} --output {output} --device {resources.device} --threads {threads} > {log} 2>&1"


rule figure:
    input:
        lambda w: figure_parts(EXPERIMENTS, w.figure)[0],
    output:
        pdf=PATHS.figure(suffix="pdf"),
        png=report(
            PATHS.figure(suffix="png"),
            caption="../report/figure.rst",
            category=lambda w: figure_section(EXPERIMENTS, w.figure),
            labels=lambda w: {"result": w.figure},
        ),
    log:
        PATHS.log("figure", "{figure}"),
    benchmark:
        PATHS.benchmark("figure", "{figure}")
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=growing(COMPUTE["report"]["mem_mb"]),
        runtime=growing(COMPUTE["report"]["runtime"]),
    params:
        arguments=lambda w: shlex.join(figure_parts(EXPERIMENTS, w.figure)[1]),
        stem=PATHS.figure(suffix="png").removesuffix(".png"),
    shell:
        'python "$SCRIPTS/make_figure.py" {params.arguments} --output-stem {params.stem} > {log} 2>&1'


rule run_times:
    input:
        ALL_OUTPUTS,
    output:
        PATHS.run_times(),
    log:
        PATHS.log("run_times"),
    benchmark:
        PATHS.benchmark("run_times")
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=growing(COMPUTE["report"]["mem_mb"]),
        runtime=growing(COMPUTE["report"]["runtime"]),
    params:
        benchmarks=PATHS.benchmarks,
        note=shlex.quote(CONFIG["data_note"]),
    shell:
        'python "$SCRIPTS/run_times.py" --benchmarks {params.benchmarks} --note {params.note} --output {output} > {log} 2>&1'


rule page:
    input:
        PATHS.page(suffix="md"),
    output:
        report(
            PATHS.page(suffix="html"),
            caption="../report/page.rst",
            category=lambda w: page_section(w.page),
            labels=lambda w: {"result": page_title(EXPERIMENTS, w.page)},
        ),
    log:
        PATHS.log("page", "{page}"),
    benchmark:
        PATHS.benchmark("page", "{page}")
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=growing(COMPUTE["report"]["mem_mb"]),
        runtime=growing(COMPUTE["report"]["runtime"]),
    shell:
        'python "$SCRIPTS/make_page.py" --input {input} --output {output} > {log} 2>&1'


rule report_pages:
    input:
        report_files(EXPERIMENTS),


# A table of which only some rows were run lies in a folder of its own: beside the finished ones Snakemake would take it for one.
rule tables_from_existing:
    log:
        PATHS.log("tables_from_existing"),
    conda:
        "../envs/report.yaml"
    params:
        definitions=lambda w: " ".join(
            shlex.quote(canonical_json(table_definition(EXPERIMENTS, table["name"]))) for table in CONFIG["tables"]
        ),
        folder=PATHS.tables_so_far,
    shell:
        'python "$SCRIPTS/make_table.py" --definition {params.definitions} --published "$SCRIPTS/../config/published.yaml"'
        " --output-dir {params.folder} --show 2>&1 | tee {log}"


for NAME in names_of(EXPERIMENTS):
    if workflow.is_rule(NAME) or NAME == "all":
        print(f"error: tables, figures: a rule is called {NAME!r}; choose another name", file=sys.stderr)
        sys.exit(2)

    rule:
        name:
            NAME
        input:
            output_files(EXPERIMENTS, NAME),
