"""From the config to the experiments: what every other rules file looks names up in. Needs: config. Makes: no files."""

import json
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from datadistill.config import complete_config
from datadistill.errors import UserError
from datadistill.experiments import build_experiments
from datadistill.files import canonical_json
from datadistill.report_plan import outputs, table_definition, table_inputs
from snakemake.exceptions import WorkflowError

try:
    CONFIG = complete_config(config)
    EXPERIMENTS = build_experiments(CONFIG)
except UserError as error:
    raise WorkflowError(str(error)) from None

PATHS = EXPERIMENTS.paths
COMPUTE = CONFIG["compute"]
SCRIPTS = Path(workflow.basedir) / "scripts"
PUBLISHED = Path(workflow.basedir) / "config" / "published.yaml"
ALL_OUTPUTS = outputs(EXPERIMENTS)


onstart:
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
    shard=r"\d+",
    shards=r"\d+",


def spec_of(table, key):
    """A `params` function: the canonical spec of the entry that the wildcard `key` names, quoted for the shell."""
    return lambda wildcards: shlex.quote(canonical_json(table[wildcards[key]].spec.canonical()))


def all_shards(path, key, shards):
    """Paths of all shards of a sharded result."""
    return [path(key, shard, shards) for shard in range(shards)]


def prediction_shards(predictions):
    return all_shards(PATHS.predictions, predictions, EXPERIMENTS.predictions[predictions].shards)


def refinement_shards(refinement):
    predictions = EXPERIMENTS.refinements[refinement].predictions
    return all_shards(PATHS.refinement, refinement, EXPERIMENTS.predictions[predictions].shards)
