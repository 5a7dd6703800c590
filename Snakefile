"""Data Distillation: Towards Omni-Supervised Learning, from splits to tables.

Without --configfile the demo runs: the whole chain on an embedded, rendered data set.
"""

from snakemake.utils import min_version

min_version("9.20")

if not workflow.config_settings.configfiles:

    configfile: workflow.source_path("config/demo.yaml")


include: "rules/common.smk"  # config -> experiments; no rules
include: "rules/data.smk"  # datasets -> splits
include: "rules/train.smk"  # splits, label sets -> models
include: "rules/label.smk"  # models -> predictions -> thresholds -> label sets
include: "rules/evaluate.smk"  # predictions -> COCO metrics
include: "rules/report.smk"  # metrics -> tables, figures


rule all:
    default_target: True
    input:
        ALL_OUTPUTS,
