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
        **RESOURCES["data"],
        # One at a time: each checks the free disk space for itself alone.
        downloads=1,
    shell:
        'python "$SCRIPTS/fetch.py" --downloads "$SCRIPTS/../config/downloads.yaml" --names {wildcards.download:q}'
        ' --root "$DATA_ROOT" --output {output:q} > {log:q} 2>&1'


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
    threads: THREADS["data"]
    resources:
        **RESOURCES["data"],
    params:
        spec=lambda w: SPLITS[w.split].rule_spec,
    shell:
        'python "$SCRIPTS/render.py" --spec {params.spec:q} --images {output.images:q} --annotations {output.scenes:q}'
        " --workers {threads:q} > {log:q} 2>&1"


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
    threads: THREADS["data"]
    resources:
        **RESOURCES["data"],
    params:
        spec=lambda w: canonical_json(plain(SPLITS[w.split].spec.clips)),
    shell:
        'python "$SCRIPTS/render_clips.py" --spec {params.spec:q} --output {output:q} --workers {threads:q} > {log:q} 2>&1'


rule sample_frames:
    input:
        # Rendered clips. A user's videos are no input: the script checks them, and the note of where they lie names them.
        clips=lambda w: SPLITS[w.split].clips,
    output:
        split=PATHS.split(),
        ledger=PATHS.split_ledger(),
    log:
        PATHS.log("sample_frames", "{split}"),
    benchmark:
        PATHS.benchmark("sample_frames", "{split}")
    wildcard_constraints:
        split=ids(split for split in SPLITS.values() if split.kind == "videos"),
    priority: 10
    conda:
        "../envs/data.yaml"
    threads: THREADS["data"]
    resources:
        **RESOURCES["data"],
    params:
        spec=lambda w: SPLITS[w.split].rule_spec,
        # Another annotation file or list makes the split again; one that was moved doesn't.
        files=lambda w: [file_state(path) for path in SPLITS[w.split].spec.files()],
        source=PATHS.split_source(),
        # No output: it holds the journal that an interrupted sampling goes on from.
        images=PATHS.split_images(),
    shell:
        'python "$SCRIPTS/sample_frames.py" --spec {params.spec:q} --source {params.source:q} --images {params.images:q}'
        " --output {output.split:q} --ledger {output.ledger:q} --workers {threads:q} > {log:q} 2>&1"


rule split:
    input:
        scenes=lambda w: SPLITS[w.split].scenes,
        # Records: what they brought is in the data root.
        downloads=lambda w: [PATHS.fetched(name) for name in SPLITS[w.split].downloads],
        # Those that it is made from, and those whose images it leaves out.
        sources=lambda w: [source.file for source in SPLITS[w.split].rests_on],
    output:
        split=PATHS.split(),
        ledger=PATHS.split_ledger(),
    log:
        PATHS.log("split", "{split}"),
    benchmark:
        PATHS.benchmark("split", "{split}")
    wildcard_constraints:
        split=ids(split for split in SPLITS.values() if split.kind != "videos"),
    priority: 10
    conda:
        "../envs/data.yaml"
    threads: THREADS["data"]
    resources:
        **RESOURCES["data"],
    params:
        spec=lambda w: SPLITS[w.split].rule_spec,
        # Another annotation file or list makes the split again; one that was moved doesn't.
        files=lambda w: [file_state(path) for path in SPLITS[w.split].spec.files()],
        source=PATHS.split_source(),
        images=PATHS.split_images(),
    shell:
        'python "$SCRIPTS/make_split.py" --spec {params.spec:q} --source {params.source:q} --images {params.images:q}'
        " --scenes {input.scenes:q} --sources {input.sources:q}"
        " --output {output.split:q} --ledger {output.ledger:q} --workers {threads:q} > {log:q} 2>&1"


# Before anything is trained: wrong pairs of keypoints train wrong models that look right.
rule preview:
    input:
        PATHS.split(),
    output:
        pdf=PATHS.preview(suffix="pdf"),
        png=report(
            PATHS.preview(suffix="png"),
            caption="../report/preview.rst",
            category="3. Galleries",
            labels=lambda w: {"result": f"mirrored {SPLITS[w.split].name}"},
        ),
    log:
        PATHS.log("preview", "{split}"),
    benchmark:
        PATHS.benchmark("preview", "{split}")
    wildcard_constraints:
        split=ids(SPLITS[split] for split in mirrored_splits(EXPERIMENTS)),
    priority: 10
    conda:
        "../envs/report.yaml"
    resources:
        **RESOURCES["data"],
    params:
        task=lambda w: mirrored_splits(EXPERIMENTS)[w.split],
        note=lambda w: f"Data: {CONFIG['data_note']}.",
        stem=PATHS.preview(suffix="png").removesuffix(".png"),
    shell:
        'python "$SCRIPTS/make_figure.py" mirrored --task {params.task:q} --split {input:q} --note {params.note:q}'
        " --output-stem {params.stem:q} > {log:q} 2>&1"


rule check_leaks:
    input:
        # Pairs that must not share an image: the first of each, and the second.
        first=lambda w: [first.file for first, _ in MODELS[w.model].disjoint],
        second=lambda w: [second.file for _, second in MODELS[w.model].disjoint],
        same_categories=lambda w: [split.file for split in MODELS[w.model].same_categories],
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
        **RESOURCES["data"],
    shell:
        'python "$SCRIPTS/check_leaks.py" --first {input.first:q} --second {input.second:q}'
        " --same-categories {input.same_categories:q} --output {output:q} > {log:q} 2>&1"


# All pairs of the run at once, so that a photo that COCO's releases hold twice isn't found after hours of training: the sentence in
# the log names the lists of ids to leave out, ready for `drop_ids`. What a single training needs, check_leaks compares again.
rule find_duplicates:
    input:
        first=[first.file for first, _ in compared_splits(EXPERIMENTS)],
        second=[second.file for _, second in compared_splits(EXPERIMENTS)],
        annotated=list(dict.fromkeys(itertools.chain(*same_categories(EXPERIMENTS)))),
    output:
        PATHS.duplicates(),
    log:
        PATHS.log("find_duplicates"),
    benchmark:
        PATHS.benchmark("find_duplicates")
    priority: 10
    conda:
        "../envs/data.yaml"
    resources:
        **RESOURCES["data"],
    params:
        judging=[split.file for split in judging_splits(EXPERIMENTS)],
        sources=lambda w: canonical_json(splits_to_edit(EXPERIMENTS)),
        same_categories=lambda w: canonical_json(same_categories(EXPERIMENTS)),
    shell:
        'python "$SCRIPTS/find_duplicates.py" --first {input.first:q} --second {input.second:q} --judging {params.judging:q}'
        ' --annotated {input.annotated:q} --same-categories {params.same_categories:q} --sources {params.sources:q} --lists "$(dirname {output:q})" --output {output:q} > {log:q} 2>&1'


# Everything that must be right before a GPU is asked for: all images of the run fetched, sampled and checked, no split leaking
# into another, all initial weights in place.
rule data:
    input:
        data_files(EXPERIMENTS),
