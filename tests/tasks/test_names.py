"""Nothing outside `tasks/` asks which task it is: a third one would be forgotten there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PLACES = ("Snakefile", "rules/*.smk", "scripts/*.py", "scripts/datadistill/**/*.py", "benchmarks/*.py")
# A quoted name. What stands in brackets, or is asked of a dictionary, is COCO's field of that name.
NAME = re.compile(
    r"""(?<!\[)(?<!get\()(["'])(keypoints|objects)\1|\b(KEYPOINTS|OBJECTS)\b|tasks\.(keypoints|objects|oks)\b"""
)
LIBRARY = "scripts/datadistill"
ALLOWED = {
    # The name of a loss; what a line is about; a column.
    (f"{LIBRARY}/report/training_charts.py", '"loss_keypoint": "keypoints",'),
    ("benchmarks/changed_detections.py", '"keypoints": points,'),
    (f"{LIBRARY}/detections.py", 'for name in ("boxes", "scores", "keypoints"):'),
    (f"{LIBRARY}/label/thresholds.py", 'table.append(("keypoints", thresholds.keypoints, "an instance"))'),
}


def sources() -> dict[str, str]:
    """Text of every file that must not name a task, by its path."""
    files = [path for place in PLACES for path in REPOSITORY.glob(place)]
    names = [path.relative_to(REPOSITORY).as_posix() for path in files]
    # The review formats write COCO's field of that name.
    ours = (name for name in names if "/tasks/" not in name and "/exchange/" not in name)
    return {name: (REPOSITORY / name).read_text(encoding="utf-8") for name in ours}


def named(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if NAME.search(line)]


def test_no_module_outside_tasks_names_a_task() -> None:
    texts = sources()
    assert len(texts) > 60
    assert {(name, line) for name, text in texts.items() for line in named(text)} == ALLOWED


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ('if task == "keypoints":', True),
        ('make = {"objects": gallery}', True),
        ("from datadistill.tasks.keypoints import COCO_SIGMAS", True),
        ("task in (KEYPOINTS, OBJECTS)", True),
        ('annotation.get("keypoints")', False),
        ('names = categories[0]["keypoints"]', False),
        ('"with_keypoints", "num_keypoints"', False),
    ],
)
def test_what_counts_as_a_name(line: str, names: bool) -> None:
    assert bool(named(line)) == names
