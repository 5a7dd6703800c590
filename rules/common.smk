"""From the config to the experiments: what every other rules file looks names up in. Needs: config. Makes: no files."""

import os
import shlex
import sys
from pathlib import Path

# `python` in a rule is the interpreter that runs Snakemake, whatever the shell has active; a conda environment that a
# rule activates comes before it.
SCRIPTS = Path(workflow.basedir) / "scripts"
sys.path.insert(0, str(SCRIPTS))
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    # Where the programs are, as an environment variable: in `params` a moved repository would rerun everything.
    SCRIPTS=str(SCRIPTS),
)

from datadistill.workflow.config import complete_config
from datadistill.errors import UserError
from datadistill.workflow.experiments import build_experiments
from datadistill.files import canonical_json
from datadistill.workflow.needs import names_of, needs_of_run
from datadistill.workflow.outputs import (
    figure_parts,
    figure_section,
    output_files,
    outputs,
    page_section,
    page_title,
    report_files,
    table_definition,
    table_inputs,
)
from datadistill.workflow.outside import reach_outside
from datadistill.workflow.resources import growing
from datadistill.workflow.rule_inputs import RuleInputs, shard_pattern, spec_of

try:
    CONFIG = complete_config(config)
    EXPERIMENTS = build_experiments(CONFIG)
    ALL_OUTPUTS = outputs(EXPERIMENTS)
except UserError as error:
    # Snakemake would print a WorkflowError with file and line of this file, which say nothing to a user.
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)

PATHS = EXPERIMENTS.paths
INPUTS = RuleInputs(EXPERIMENTS)
COMPUTE = CONFIG["compute"]
# As an environment variable for the same reason as the scripts: data that were moved rerun nothing.
os.environ["DATA_ROOT"] = CONFIG["data_root"]
# Chosen by the config: a build for CUDA can't be solved where there is no GPU.
VISION_ENVIRONMENT = f"../envs/{COMPUTE['vision_env']}.yaml"


onstart:
    try:
        reach_outside(EXPERIMENTS)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"Run '{CONFIG['run']}': {CONFIG['data_note']}; results in {PATHS.base}/", file=sys.stderr)


wildcard_constraints:
    split=r"[^/]+",
    model=r"[^/]+",
    predictions=r"[^/]+",
    gate=r"[^/]+",
    refinement=r"[^/]+",
    label_set=r"[^/]+",
    evaluation=r"[^/]+/[^/]+/[^/]+",
    table=r"[^/]+",
    figure=r"[^/]+",
    download=r"[^/]+",
    page=r"(tables|labels)/.+|run-times",
    shard=r"\d+",
    shards=r"\d+",
