"""Datasets -> splits. Needs: what the config's splits name on disk. Makes: results/{run}/splits/{split}.json, checked image by image.

What it needs is checked by the scripts and is no input, so that a dry run does without. Data come first (`priority`): what is
missing or damaged is found before anything trains.
"""


rule fetch:
    output:
        PATHS.fetched(),
    log:
        f"{PATHS.root}/downloads/{{download}}.log",
    priority: 10
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=growing(COMPUTE["data"]["mem_mb"]),
        runtime=growing(COMPUTE["data"]["runtime"]),
        # One at a time: each checks the free disk space for itself alone.
        downloads=1,
    shell:
        'python "$SCRIPTS/fetch.py" --downloads "$SCRIPTS/../config/downloads.yaml" --names {wildcards.download}'
        ' --root "$DATA_ROOT" --output {output} > {log} 2>&1'


rule render:
    output:
        images=directory(PATHS.split_images()),
        scenes=PATHS.scene_annotations(),
    log:
        PATHS.log("render", "{split}"),
    benchmark:
        PATHS.benchmark("render", "{split}")
    priority: 10
    conda:
        "../envs/data.yaml"
    threads: COMPUTE["data"]["threads"]
    resources:
        mem_mb=growing(COMPUTE["data"]["mem_mb"]),
        runtime=growing(COMPUTE["data"]["runtime"]),
    params:
        spec=INPUTS.split_spec,
    shell:
        'python "$SCRIPTS/render.py" --spec {params.spec} --images {output.images} --annotations {output.scenes}'
        " --workers {threads} > {log} 2>&1"


rule render_clips:
    output:
        directory(PATHS.clips()),
    log:
        PATHS.log("render_clips", "{split}"),
    benchmark:
        PATHS.benchmark("render_clips", "{split}")
    priority: 10
    conda:
        "../envs/data.yaml"
    threads: COMPUTE["data"]["threads"]
    resources:
        mem_mb=growing(COMPUTE["data"]["mem_mb"]),
        runtime=growing(COMPUTE["data"]["runtime"]),
    params:
        spec=INPUTS.clips_spec,
    shell:
        'python "$SCRIPTS/render_clips.py" --spec {params.spec} --output {output} --workers {threads} > {log} 2>&1'


rule sample_frames:
    input:
        unpack(INPUTS.split_sources),
    output:
        split=PATHS.split(),
        ledger=PATHS.split_ledger(),
    log:
        PATHS.log("sample_frames", "{split}"),
    benchmark:
        PATHS.benchmark("sample_frames", "{split}")
    wildcard_constraints:
        split=INPUTS.split_pattern(videos=True),
    priority: 10
    conda:
        "../envs/data.yaml"
    threads: COMPUTE["data"]["threads"]
    resources:
        mem_mb=growing(COMPUTE["data"]["mem_mb"]),
        runtime=growing(COMPUTE["data"]["runtime"]),
    params:
        spec=INPUTS.split_spec,
        files=INPUTS.split_files,
        source=PATHS.split_source(),
        # No output: it holds the journal that an interrupted sampling goes on from.
        images=PATHS.split_images(),
    shell:
        'python "$SCRIPTS/sample_frames.py" --spec {params.spec} --source {params.source} --images {params.images}'
        " --output {output.split} --ledger {output.ledger} --workers {threads} > {log} 2>&1"


rule split:
    input:
        unpack(INPUTS.split_sources),
    output:
        split=PATHS.split(),
        ledger=PATHS.split_ledger(),
    log:
        PATHS.log("split", "{split}"),
    benchmark:
        PATHS.benchmark("split", "{split}")
    wildcard_constraints:
        split=INPUTS.split_pattern(videos=False),
    priority: 10
    conda:
        "../envs/data.yaml"
    threads: COMPUTE["data"]["threads"]
    resources:
        mem_mb=growing(COMPUTE["data"]["mem_mb"]),
        runtime=growing(COMPUTE["data"]["runtime"]),
    params:
        spec=INPUTS.split_spec,
        files=INPUTS.split_files,
        source=PATHS.split_source(),
        images=PATHS.split_images(),
        inputs=INPUTS.split_inputs,
    shell:
        'python "$SCRIPTS/make_split.py" --spec {params.spec} --source {params.source} --images {params.images} --inputs {params.inputs}'
        " --output {output.split} --ledger {output.ledger} --workers {threads} > {log} 2>&1"


rule check_leaks:
    input:
        INPUTS.checked_splits,
    output:
        PATHS.leaks(),
    log:
        PATHS.log("check_leaks", "{model}"),
    benchmark:
        PATHS.benchmark("check_leaks", "{model}")
    priority: 10
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=growing(COMPUTE["data"]["mem_mb"]),
        runtime=growing(COMPUTE["data"]["runtime"]),
    params:
        pairs=INPUTS.disjoint_pairs,
        categories=INPUTS.same_categories,
    shell:
        'python "$SCRIPTS/check_leaks.py" --pairs {params.pairs} --same-categories {params.categories} --output {output} > {log} 2>&1'


# Everything that must be right before a GPU is asked for: all images of the run fetched, sampled and checked, no split leaking
# into another, all initial weights in place.
rule data:
    input:
        INPUTS.data_files(needs_of_run(EXPERIMENTS)),
