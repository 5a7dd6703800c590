"""From the config to the experiments: what every other rules file looks names up in. Needs: config. Makes: no files.

Every value in a command is quoted by Snakemake's `:q`, paths too (tests/workflow/test_rules.py); what is written without it
is a pattern for the shell to expand. Text of the config comes from a function, as Snakemake reads braces in a text as wildcards.
"""

import itertools
import os
import sys
import time
from pathlib import Path

# `python` in a rule is the interpreter that runs Snakemake, whatever the shell has active; a conda environment that a
# rule activates comes before it.
SCRIPTS = Path(workflow.basedir) / "scripts"
sys.path.insert(0, str(SCRIPTS))
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    # Where the programs are, as an environment variable: in `params` a moved repository would rerun everything.
    SCRIPTS=str(SCRIPTS),
    # Jobs say in their logs what their start took and what their work: the page of run times adds it up.
    DATADISTILL_CPU_TIMES="1",
)

from snakemake.utils import update_config

from datadistill.workflow.config import command_line_values, complete_config, naming, read_config
from datadistill.errors import UserError
from datadistill.workflow.experiments import build_experiments
from datadistill.workflow.figures import compared, explanation, figure
from datadistill.workflow.locks import record_host
from datadistill.files import canonical_json
from datadistill.keys import plain
from datadistill.workflow.keypoint_notes import keypoint_notes
from datadistill.workflow.needs import (
    compared_splits,
    data_files,
    judging_splits,
    mirrored_splits,
    networks_from,
    preview_files,
    same_categories,
    splits_to_edit,
    weights_check,
)
from datadistill.workflow.outputs import (
    figure_section,
    names_of,
    output_files,
    outputs,
    report_files,
    report_pages,
    table_evaluations,
    table_labels,
    table_spec,
)
from datadistill.workflow.outside import checked_anew, file_state, reach_outside
from datadistill.workflow.report_contents import report_contents, report_inputs
from datadistill.workflow.resources import stage_resources
from datadistill.workflow.rule_inputs import ids, shard_pattern, spec_of

CONFIG_FILES = workflow.config_settings.configfiles or [Path(workflow.basedir) / "config" / "demo.yaml"]
try:
    for path in CONFIG_FILES:
        # Snakemake takes the last of two equal keys without a word.
        read_config(path)
    GIVEN = workflow.config_settings.config
    update_config(config, command_line_values(GIVEN))
    with naming(*CONFIG_FILES, *(["--config"] if GIVEN else [])):
        CONFIG = complete_config(config)
        EXPERIMENTS = build_experiments(CONFIG)
    # Captions of the report read Snakemake's own.
    config.update({key: CONFIG[key] for key in ("data_note", "proxy", "figures")})
    ALL_OUTPUTS = outputs(EXPERIMENTS) + preview_files(EXPERIMENTS)
except UserError as error:
    # Snakemake would print a WorkflowError with file and line of this file, which say nothing to a user.
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)

PATHS = EXPERIMENTS.paths
# Results by id, as wildcards hold it.
SPLITS, MODELS, LABEL_SETS = EXPERIMENTS.splits, EXPERIMENTS.models, EXPERIMENTS.label_sets
PREDICTIONS, GATES, REFINEMENTS = EXPERIMENTS.predictions, EXPERIMENTS.gates, EXPERIMENTS.refinements
EVALUATIONS, PAGES = EXPERIMENTS.evaluations, report_pages(EXPERIMENTS)
HELD_OUT_LABELS = EXPERIMENTS.held_out_labels
THREADS = {stage: CONFIG["compute"][stage]["threads"] for stage in ("data", "train", "label")}
RESOURCES = stage_resources(CONFIG["compute"])
# As an environment variable for the same reason as the scripts: data that were moved rerun nothing.
os.environ.update(DATA_ROOT=CONFIG["data_root"], SOURCES=PATHS.sources)
# Chosen by the config: a build for CUDA can't be solved where there is no GPU.
VISION_ENVIRONMENT = f"../envs/{CONFIG['compute']['vision_env']}.yaml"


STARTED = time.time()


onstart:
    record_host()
    try:
        reach_outside(EXPERIMENTS)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"Run '{CONFIG['run']}': {CONFIG['data_note']}; results in {PATHS.base}/", file=sys.stderr)
    for note in keypoint_notes(EXPERIMENTS):
        print(note, file=sys.stderr)


onsuccess:
    if checked_anew(EXPERIMENTS, STARTED):
        print(
            "The splits that judge the models are others than before, and were checked; call the same command again, for the "
            "evaluations that follow.",
            file=sys.stderr,
        )


wildcard_constraints:
    split=r"[^/]+",
    weights=r"[^/]+",
    network=r"[0-9a-f]{8}",
    model=r"[^/]+",
    predictions=r"[^/]+",
    gate=r"[^/]+",
    refinement=r"[^/]+",
    label_set=r"[^/]+",
    evaluation=r"[^/]+/[^/]+/[^/]+",
    held_out=r"[^/]+/[^/]+",
    table=r"[^/]+",
    figure=r"[^/]+",
    download=r"[^/]+",
    page=r"(tables|labels)/.+|run-times",
    shard=r"\d+",
    shards=r"\d+",
