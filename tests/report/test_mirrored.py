"""The picture of labelled keypoints beside their mirror image: which instances, and what is drawn of them where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_samples import box, coco, image
from PIL import Image

from datadistill.errors import UserError
from datadistill.report.mirrored import choose_instances, mirror_points, mirrored_figure
from datadistill.tasks.task import get_refining_task

TASK = get_refining_task("keypoints")
NAMES = ["snout", "LFin", "RFin", "tail"]
FISH = {"id": 1, "name": "fish", "keypoints": NAMES, "skeleton": [[1, 2], [1, 3]], "flip_pairs": [["LFin", "RFin"]]}


def fish(number: int, size: float, visible: tuple[int, int, int, int] = (2, 2, 2, 2), **more: Any) -> dict[str, Any]:
    points = [[20, 10, visible[0]], [12, 20, visible[1]], [30, 20, visible[2]], [20, 30, visible[3]]]
    keypoints = [value if v else 0 for *place, v in points for value in (*place, v)]
    return box(number, (10, 5, size, size), keypoints=keypoints, **more)


def split_of(folder: Path, annotations: list[dict[str, Any]], category: dict[str, Any] = FISH) -> dict[str, Any]:
    images = []
    for number in sorted({a["image_id"] for a in annotations}):
        pixels = np.zeros((48, 64, 3), np.uint8)
        pixels[:, :32] = 200
        Image.fromarray(pixels).save(folder / f"{number}.png")
        images.append(image(number, 64, 48, str(folder / f"{number}.png")))
    return coco(images, annotations, [category])


def test_large_instances_with_both_sides_labelled_are_shown(tmp_path: Path) -> None:
    annotations = [
        fish(1, 38, visible=(2, 2, 0, 2)),
        fish(2, 20),
        fish(2, 25),
        fish(3, 36, visible=(0, 2, 1, 0)),
        fish(4, 40, iscrowd=1),
        fish(5, 39, visible=(0, 0, 0, 0)),
    ]
    split = split_of(tmp_path, annotations)
    assert [a["image_id"] for a in choose_instances(split, TASK, 5)] == [3, 2]
    assert choose_instances(split, TASK, 2)[1]["bbox"][2] == 25
    assert [a["image_id"] for a in choose_instances({**split, "images": split["images"][::-1]}, TASK, 1)] == [3]


def test_points_in_a_mirror() -> None:
    points = np.array([[20.5, 10.5, 2], [12.5, 20.5, 1], [0, 0, 0]])
    np.testing.assert_allclose(mirror_points(points, 64, [0, 2, 1]), [[43.5, 10.5, 2], [0, 0, 0], [51.5, 20.5, 1]])


def test_names_change_sides_in_the_mirror(tmp_path: Path, saved_figures: list[Any]) -> None:
    paths = mirrored_figure(split_of(tmp_path, [fish(1, 38)]), tmp_path / "seen", task=TASK, note="made here")
    assert [path.name for path in paths] == ["seen.pdf", "seen.png"]
    first, second = saved_figures[0].axes
    assert [axes.get_title(loc="left") or axes.get_title() for axes in (first, second)] == ["fish", "mirrored"]
    np.testing.assert_array_equal(second.images[0].get_array(), first.images[0].get_array()[:, ::-1])

    def place(axes: Any, name: str) -> float:
        return next(text.get_position()[0] for text in axes.texts if text.get_text() == name)

    for axes in (first, second):
        assert place(axes, "LFin") < place(axes, "RFin"), "a left fin is on the left of both pictures"
    notes = " ".join(text.get_text() for text in saved_figures[0].texts).replace("\n", " ")
    assert "mirrored in pairs: LFin and RFin; not paired: snout, tail" in notes
    assert "made here" in notes


def test_wrong_pairs_are_seen(tmp_path: Path, saved_figures: list[Any]) -> None:
    """What the picture is for: without its pair, the left fin is on the other side of the mirror image."""
    mirrored_figure(
        split_of(tmp_path, [fish(1, 38)], {**FISH, "flip_pairs": []}), tmp_path / "seen", task=TASK, note=""
    )
    second = saved_figures[0].axes[1]
    places = {text.get_text(): text.get_position()[0] for text in second.texts}
    assert places["LFin"] > places["RFin"]


def test_nothing_to_show_is_said(tmp_path: Path) -> None:
    split = split_of(tmp_path, [fish(1, 38, visible=(0, 0, 0, 0))])
    with pytest.raises(UserError, match="no instance with labelled keypoints"):
        mirrored_figure(split, tmp_path / "seen", task=TASK, note="")
