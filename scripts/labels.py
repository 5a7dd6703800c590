"""Label sets for people: a page to look at them, files to correct them in, and the corrected labels back.

python scripts/labels.py page   --config my.yaml --label-set pool
python scripts/labels.py export --config my.yaml --label-set pool --to label-studio --output review
python scripts/labels.py import --config my.yaml --label-set pool --from review/export.json --output data/corrected.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

from datadistill.errors import UserError, run_script
from datadistill.exchange.entries import splits_to_add
from datadistill.exchange.formats import FORMATS, export_labels, import_labels
from datadistill.files import atomic_write, read_json, write_json
from datadistill.workflow.load import load_experiments
from datadistill.workflow.registry import LabelSet
from datadistill.workflow.trained import chosen_seed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--config", required=True, type=Path, help="the config whose run made the labels")
    shared.add_argument("--label-set", required=True, help="its name in the config")
    shared.add_argument("--seed", type=int, help="which of the config's seeds; without it the first")

    page = commands.add_parser("page", parents=[shared], help="one HTML file with sliders for the thresholds")
    page.add_argument("--images", type=int, default=100, help="how many images it shows, the least certain ones")
    page.add_argument("--output", type=Path, help="the file; without it labels.html beside the labels")

    out = commands.add_parser("export", parents=[shared], help="a folder to correct the labels in")
    out.add_argument("--to", required=True, choices=FORMATS)
    out.add_argument("--images", type=int, help="how many images, the least certain first; without it all")
    out.add_argument("--prefix", default="/data/local-files/?d=", help="for Label Studio: comes before an image's path")
    out.add_argument("--output", required=True, type=Path, help="a new folder")

    back = commands.add_parser(
        "import", parents=[shared], help="corrected labels as COCO JSON, for a split of kind coco"
    )
    back.add_argument("--from", dest="source", required=True, type=Path, help="what the tool exported")
    back.add_argument("--output", required=True, type=Path, help="COCO JSON, a new file")
    back.add_argument(
        "--only",
        type=Path,
        help="text file of the images that were reviewed (lines of order.txt); without it all that come back",
    )
    back.add_argument(
        "--images", type=Path, help="folder that its file names are relative to; without it the working directory"
    )
    arguments = parser.parse_args()
    if arguments.command == "import" and arguments.output.exists():
        raise UserError(f"--output: {arguments.output} is there already; name another file, or delete it first")

    experiments = load_experiments(arguments.config)
    config = experiments.config
    label_set = experiments.label_set(arguments.label_set, chosen_seed(config, arguments.seed), "--label-set")
    {"page": _page, "export": _export, "import": _import}[arguments.command](label_set, config["data_note"], arguments)


def _page(label_set: LabelSet, note: str, arguments: argparse.Namespace) -> None:
    from datadistill.detections import load_shards
    from datadistill.label.thresholds import Thresholds
    from datadistill.report.label_page import label_page
    from datadistill.tasks.task import get_task

    detections, _ = load_shards(label_set.detections.files)
    text = label_page(
        get_task(label_set.task),
        read_json(label_set.split.file),
        read_json(label_set.labelled.file)["categories"],
        detections,
        Thresholds.from_json(read_json(label_set.made("thresholds.json"))),
        title=label_set.title,
        note=note,
        truth=read_json(label_set.truth.file) if label_set.truth else None,
        images=arguments.images,
    )
    path = arguments.output or Path(label_set.made("labels.html"))
    with atomic_write(path) as stream:
        stream.write(text)
    print(f"{path}: {len(text) / 1e6:.1f} MB; open it in a browser")


def _export(label_set: LabelSet, note: str, arguments: argparse.Namespace) -> None:
    written = export_labels(
        read_json(label_set.file), arguments.to, arguments.output, count=arguments.images, prefix=arguments.prefix
    )
    print(f"{arguments.output}: {len(written)} images, the least certain first; README.txt there says what to do next")


def _import(label_set: LabelSet, note: str, arguments: argparse.Namespace) -> None:
    from datadistill.data.corrected import as_source

    taken = {image["id"] for image in read_json(label_set.labelled.file)["images"]}
    corrected = as_source(
        import_labels(arguments.source, read_json(label_set.file), arguments.only), taken, arguments.images
    )
    write_json(arguments.output, corrected)
    print(f"{arguments.output}: {len(corrected['annotations'])} labels on {len(corrected['images'])} reviewed images.")
    folder, names = str(arguments.images or "."), (label_set.labelled.name, label_set.split.name)
    print(splits_to_add(arguments.output, folder, label_set.task, *names))


if __name__ == "__main__":
    run_script(main)
