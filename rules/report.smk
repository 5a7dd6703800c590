"""COCO metrics and label sets -> tables and figures. Makes: results/{run}/tables/ and figures/.

Targets: every table and figure by its name, `tables_from_existing`, and `report_pages`, what the HTML report shows.
"""


report: "../report/workflow.rst"


rule table:
    input:
        evaluations=lambda w: [evaluation.file for evaluation in table_evaluations(EXPERIMENTS, w.table)],
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
        **RESOURCES["report"],
    params:
        # It names the evaluations.
        spec=lambda w: canonical_json(table_spec(EXPERIMENTS, w.table)),
        folder=lambda w, output: os.path.dirname(output.markdown),
    shell:
        'python "$SCRIPTS/make_table.py" --spec {params.spec:q} --published "$SCRIPTS/../config/published.yaml"'
        " --output-dir {params.folder:q} > {log:q} 2>&1"


rule label_quality:
    input:
        labels=lambda w: LABEL_SETS[w.label_set].file,
        truth=lambda w: LABEL_SETS[w.label_set].truth.file,
        # The label set that it is compared with, if there is one.
        alternative=lambda w: [other.file for other in compared(EXPERIMENTS, LABEL_SETS[w.label_set])],
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
        **RESOURCES["report"],
    params:
        task=lambda w: LABEL_SETS[w.label_set].task,
        name=lambda w: LABEL_SETS[w.label_set].name,
        alternative_name=lambda w: [other.name for other in compared(EXPERIMENTS, LABEL_SETS[w.label_set])],
        title=lambda w: LABEL_SETS[w.label_set].title,
        note=lambda w: CONFIG["data_note"],
    shell:
        'python "$SCRIPTS/label_quality.py" --task {params.task:q} --labels {input.labels:q} --truth {input.truth:q}'
        " --name {params.name:q} --alternative {input.alternative:q} --alternative-name {params.alternative_name:q}"
        " --title {params.title:q} --note {params.note:q} --output {output.json:q} --pages {output.page:q} > {log:q} 2>&1"


rule thresholds_page:
    input:
        thresholds=PATHS.labels(file="thresholds.json"),
    output:
        PATHS.labels(file="thresholds.md"),
    log:
        PATHS.log("thresholds_page", "{label_set}"),
    benchmark:
        PATHS.benchmark("thresholds_page", "{label_set}")
    conda:
        "../envs/report.yaml"
    resources:
        **RESOURCES["report"],
    params:
        title=lambda w: LABEL_SETS[w.label_set].title,
        note=lambda w: CONFIG["data_note"],
    shell:
        'python "$SCRIPTS/thresholds_page.py" --thresholds {input.thresholds:q} --title {params.title:q} --note {params.note:q}'
        " --output {output:q} > {log:q} 2>&1"


rule explain_ensemble:
    input:
        model=lambda w: explanation(EXPERIMENTS, w.figure).label_set.teacher.file,
        split=lambda w: explanation(EXPERIMENTS, w.figure).label_set.split.file,
        labels=lambda w: explanation(EXPERIMENTS, w.figure).label_set.file,
        truth=lambda w: [truth.file for truth in [explanation(EXPERIMENTS, w.figure).label_set.truth] if truth],
    output:
        PATHS.figure_data(),
    log:
        PATHS.log("explain_ensemble", "{figure}"),
    benchmark:
        PATHS.benchmark("explain_ensemble", "{figure}")
    conda:
        VISION_ENVIRONMENT
    threads: THREADS["label"]
    resources:
        **RESOURCES["label"],
    params:
        # Of every box: a gate has no part in what is shown.
        spec=lambda w: canonical_json(explanation(EXPERIMENTS, w.figure).refinement.spec.of_every_box.canonical()),
    shell:
        'python "$SCRIPTS/explain_ensemble.py" --spec {params.spec:q} --model {input.model:q} --split {input.split:q}'
        " --labels {input.labels:q} --truth {input.truth:q} --output {output:q}"
        " --device {resources.device:q} --memory-format {resources.memory_format:q} --threads {threads:q} > {log:q} 2>&1"


rule figure:
    input:
        shown=lambda w: figure(EXPERIMENTS, w.figure).reads,
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
        **RESOURCES["report"],
    params:
        # They name the files that are shown, each under the flag of its part in the figure.
        arguments=lambda w: list(figure(EXPERIMENTS, w.figure).arguments),
        stem=PATHS.figure(suffix="png").removesuffix(".png"),
    shell:
        'python "$SCRIPTS/make_figure.py" {params.arguments:q} --output-stem {params.stem:q} > {log:q} 2>&1'


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
        **RESOURCES["report"],
    params:
        benchmarks=PATHS.benchmarks,
        note=lambda w: CONFIG["data_note"],
    shell:
        'python "$SCRIPTS/run_times.py" --benchmarks {params.benchmarks:q} --note {params.note:q} --output {output:q} > {log:q} 2>&1'


rule page:
    input:
        PATHS.page(suffix="md"),
    output:
        report(
            PATHS.page(suffix="html"),
            caption="../report/page.rst",
            category=lambda w: PAGES[w.page].section,
            labels=lambda w: {"result": PAGES[w.page].title},
        ),
    log:
        PATHS.log("page", "{page}"),
    benchmark:
        PATHS.benchmark("page", "{page}")
    conda:
        "../envs/report.yaml"
    resources:
        **RESOURCES["report"],
    shell:
        'python "$SCRIPTS/make_page.py" --input {input:q} --output {output:q} > {log:q} 2>&1'


rule report_pages:
    input:
        report_files(EXPERIMENTS),
        preview_files(EXPERIMENTS),


# A table of which only some rows were run lies in a folder of its own: beside the finished ones Snakemake would take it for one.
rule tables_from_existing:
    log:
        PATHS.log("tables_from_existing"),
    conda:
        "../envs/report.yaml"
    params:
        specs=lambda w: [canonical_json(table_spec(EXPERIMENTS, table["name"])) for table in CONFIG["tables"]],
        folder=PATHS.tables_so_far,
    shell:
        'python "$SCRIPTS/make_table.py" --spec {params.specs:q} --published "$SCRIPTS/../config/published.yaml"'
        " --output-dir {params.folder:q} --show 2>&1 | tee {log:q}"


for NAME in names_of(EXPERIMENTS):
    if workflow.is_rule(NAME) or NAME == "all":
        print(f"error: tables, figures: a rule is called {NAME!r}; choose another name", file=sys.stderr)
        sys.exit(2)

    rule:
        name:
            NAME
        input:
            output_files(EXPERIMENTS, NAME),
