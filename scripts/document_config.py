"""Write config/README.md from the statement of the config; with --check, only say whether it is up to date."""

from __future__ import annotations

import argparse
from pathlib import Path

from datadistill.errors import UserError, run_script
from datadistill.files import atomic_write
from datadistill.workflow.config_page import render_page
from datadistill.workflow.schema import config_schema

PAGE = Path(__file__).resolve().parents[1] / "config" / "README.md"

HEAD = """
<!-- Made by `make docs` from scripts/datadistill/workflow/statement.py: edit that, then run it again. -->

# Config

One YAML file describes one run: its data, its models and its tables. Give it with `--configfile`; without one,
[demo.yaml](demo.yaml) runs.

```
snakemake --cores all --configfile config/paper.yaml
```

Read a config from its end: a **table** is a list of rows; a row names a **model**; a model names its **splits**, its
schedule and the **label set** it learns from; a label set names its **teacher** (a model, too), its transforms and its
thresholds. Snakemake builds what the tables and figures need, each model once however many rows show it.

- `run`, `splits` and `models` are enough for labels (with `label_sets`) and scores (with `evaluate_on`): then the networks
  and schedules are those of the preset `small`, all models stand in one table, and each label set has a gallery.
- Everything is checked before the first job: an unknown key is an error that names the nearest one.
- Keys under `defaults` hold for all models of a task; a model's own keys come before them. Keys under `labelling` hold
  for all label sets, in the same way.
- What affects a result is in the digest that ends its folder's name, so an edit makes a new folder and retrains just
  what depends on it. Comments, titles, captions and everything under `compute` affect nothing.
- Your own data (kinds coco, voc, folder and videos) are known by the name of their split, not by where they lie: folders of
  images and videos, annotation files and lists can be moved (with their times: `mv`, `cp -a`), and the config follows,
  without a rerun. A changed annotation file or list makes its split again. Images are taken to stay what they were:
  give a split of other images another name.
- Several `--configfile` options are merged: mappings key by key, lists replaced. Give one file a run, or only small
  additions beside it.
- `1e-4` is text to YAML; write `0.0001` or `1.0e-4`.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is out of date")
    parser.add_argument("--output", type=Path, default=PAGE)
    arguments = parser.parse_args()
    page = render_page(HEAD, config_schema())
    if arguments.check:
        if not arguments.output.exists() or arguments.output.read_text(encoding="utf-8") != page:
            raise UserError(f"{arguments.output} is out of date; run scripts/document_config.py")
        return 0
    with atomic_write(arguments.output) as stream:
        stream.write(page)
    return 0


if __name__ == "__main__":
    run_script(main)
