"""The page of labels: what it counts, whether it stands alone, and what it does in a browser."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_samples import box, coco, image

from datadistill.detections import Detections
from datadistill.errors import UserError
from datadistill.label.thresholds import Threshold, Thresholds
from datadistill.report.label_page import label_page, least_certain
from datadistill.tasks.task import get_task

CATEGORIES = [{"id": 1, "name": "cell </script>"}, {"id": 2, "name": "platelet"}]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def threshold(value: float | None) -> Threshold:
    return Threshold(value, None, 0.0, 0, 0, "fixed")


def thresholds(values: dict[int, float | None], keypoints: float | None = None) -> Thresholds:
    table = {key: threshold(value) for key, value in values.items()}
    points = None if keypoints is None else threshold(keypoints)
    return Thresholds(True, table, threshold(0.5), table, points, {})


@pytest.fixture
def world(tmp_path: Path) -> dict[str, Any]:
    """Three images of 40 x 30 pixels, five boxes of two categories, and the truth about them."""
    from PIL import Image

    images = []
    for identity in (1, 2, 3):
        path = tmp_path / f"{identity}.png"
        Image.new("RGB", (40, 30), (40 * identity, 90, 120)).save(path)
        images.append({**image(identity, 40, 30), "file_name": str(path)})
    detections = Detections(
        np.array([1, 2, 3], np.int64),
        np.array([0, 0, 1, 1, 1], np.int64),
        np.array([[2, 2, 12, 12], [20, 5, 30, 15], [2, 2, 12, 12], [20, 5, 30, 15], [1, 18, 9, 26]], np.float32),
        np.array([0.9, 0.3, 0.8, 0.62, 0.2], np.float32),
        np.array([1, 2, 1, 1, 2], np.int64),
    )
    truth = coco(images, [box(1, [2, 2, 10, 10]), box(2, [2, 2, 10, 10]), box(2, [1, 18, 8, 8], 2)])
    truth["categories"] = CATEGORIES
    return {"split": {**truth, "annotations": []}, "detections": detections, "truth": truth}


def made(world: dict[str, Any], **more: Any) -> str:
    arguments = {"title": "pool", "note": "a test", "truth": world["truth"], **more}
    limits = thresholds({1: 0.7, 2: None})
    return label_page(get_task("objects"), world["split"], CATEGORIES, world["detections"], limits, **arguments)


def embedded(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found.group(1))


def at(category: dict[str, Any], score: float) -> tuple[int, int]:
    place = category["curve"]["score"].index(score)
    return category["curve"]["kept"][place], category["curve"]["right"][place]


def test_counts_are_those_of_the_thresholds(world: dict[str, Any]) -> None:
    data = embedded(made(world))
    cell, platelet = data["categories"]
    assert (cell["threshold"], platelet["threshold"]) == (0.7, None)
    assert [at(cell, score) for score in (0.0, 0.6, 0.7, 0.85, 0.95)] == [(3, 2), (3, 2), (2, 2), (1, 1), (0, 0)]
    assert [at(platelet, score) for score in (0.0, 0.25, 0.5)] == [(2, 1), (1, 0), (0, 0)]
    assert (cell["truth"], platelet["truth"], data["total_images"]) == (2, 1, 3)
    assert [label["right"] for label in data["labels"]] == [1, 0, 1, 0, 1]


def test_the_label_set_s_own_threshold_is_on_the_curve_to_the_last_bit(world: dict[str, Any]) -> None:
    own = float(world["detections"].scores[3])
    page = label_page(
        get_task("objects"),
        world["split"],
        CATEGORIES,
        world["detections"],
        thresholds({1: own}),
        title="",
        note="",
    )
    [cell] = embedded(page)["categories"]
    assert at(cell, own) == (3, 0)
    assert "right" not in embedded(page)["labels"][0]


def test_without_truth_nothing_is_called_right(world: dict[str, Any]) -> None:
    data = embedded(made(world, truth=None))
    assert not data["truth"]
    assert all("right" not in label for label in data["labels"])
    assert all("truth" not in picture for picture in data["images"])


def test_what_was_left_out_of_the_split_counts_for_nothing(world: dict[str, Any]) -> None:
    left_out = coco([image(9, 40, 30)], [box(9, [2, 2, 10, 10])])
    truth = {key: [*world["truth"][key], *left_out[key]] for key in ("images", "annotations")}
    wider = embedded(made(world, truth={**world["truth"], **truth}))
    assert wider == embedded(made(world))


def test_the_least_certain_images_come_first(world: dict[str, Any]) -> None:
    # 0.62 is 0.08 from its threshold, 0.9 is 0.2; the third image has no detection.
    assert least_certain(world["detections"], thresholds({1: 0.7, 2: None}), 3) == [2, 1, 3]
    assert [picture["id"] for picture in embedded(made(world, images=1))["images"]] == [2]


def test_the_page_stands_alone(world: dict[str, Any]) -> None:
    page = made(world)
    assert page.count("</script>") == 2
    addresses = set(re.findall(r"(?:https?:)?//[\w./-]+", page.split("<script>")[0].replace("/*DATA*/", "")))
    assert not {address for address in addresses if address.startswith("http")}
    assert all(picture["source"].startswith("data:image/jpeg;base64,") for picture in embedded(page)["images"])


def test_an_image_that_is_gone_is_named(world: dict[str, Any]) -> None:
    Path(world["split"]["images"][1]["file_name"]).unlink()
    with pytest.raises(UserError, match=r"2\.png: can't be read"):
        made(world)


def test_keypoints_are_drawn_where_their_scores_pass(world: dict[str, Any]) -> None:
    points = np.array([[[5, 5, 0.9], [8, 9, 0.1]], [[6, 6, 0.8], [9, 9, 0.7]]], np.float32)
    two = world["detections"].select(np.array([0, 2]))
    category = {"id": 1, "name": "fish", "keypoints": ["head", "tail"], "skeleton": [[1, 2]]}
    page = label_page(
        get_task("keypoints"),
        world["split"],
        [category],
        two.with_keypoints(points),
        thresholds({1: 0.5}, keypoints=0.5),
        title="",
        note="",
    )
    data = embedded(page)
    assert [label["keypoints"] for label in sorted(data["labels"], key=lambda label: label["image"])] == [
        [[5, 5], None],
        [[6, 6], [9, 9]],
    ]
    assert data["categories"][0]["skeleton"] == [[0, 1]]


def in_a_browser(text: str, script: str, tmp_path: Path) -> Any:
    """What a script that runs in the page leaves in `document.body.dataset.states`."""
    page = tmp_path / "labels.html"
    page.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom", page.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r'data-states="([^"]*)"', shown)
    assert found, "the page's script ended early"
    return json.loads(found.group(1).replace("&quot;", '"'))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH (Debian: apt-get install chromium)")
def test_sliders_and_filters_work_in_a_browser(world: dict[str, Any], tmp_path: Path) -> None:
    script = """
    const seen = () => [byId("kept").textContent, byId("precision").textContent, byId("recall").textContent,
      document.querySelectorAll("figure").length, document.querySelectorAll("figure svg rect").length].join(" ");
    const set = (id, value, event) => { byId(id).value = value; byId(id).dispatchEvent(new Event(event)); };
    const states = [seen()];
    set("category", "1", "change"); set("threshold", "0.6", "input"); states.push(seen());
    set("category", "2", "change"); set("threshold", "0.25", "input"); states.push(seen());
    set("category", "all", "change"); states.push(seen());
    byId("reset").click(); states.push(seen());
    set("order", "name", "change"); states.push([...document.querySelectorAll("figcaption")].map(c => c.textContent[0]).join(""));
    set("disagreement", "0.5", "input"); states.push(document.querySelectorAll("figure").length);
    document.body.dataset.states = JSON.stringify(states);
    """
    assert in_a_browser(made(world), script, tmp_path) == [
        "2 100.0 % 66.7 % 3 2",
        "3 66.7 % 100.0 % 2 3",
        "1 0.0 % 0.0 % 1 1",
        "4 50.0 % 66.7 % 3 4",
        "2 100.0 % 66.7 % 3 2",
        "123",
        0,
    ]


def doubted(world: dict[str, Any]) -> dict[str, Any]:
    """The same with disagreement: much about what isn't kept, and about the most certain box."""
    parts = np.array([[0.75], [1.0], [0.1], [0.5], [0.0]], np.float32)
    return {**world, "detections": dataclasses.replace(world["detections"], disagreement=parts)}


def test_disagreement_makes_kept_labels_uncertain(world: dict[str, Any]) -> None:
    limits = thresholds({1: 0.7, 2: None})
    # The second image has a score 0.08 from the threshold (0.92); the first disagrees by 0.75, and its score is 0.2 away (0.8).
    assert least_certain(doubted(world)["detections"], limits, 3) == [2, 1, 3]
    much = dataclasses.replace(doubted(world)["detections"], disagreement=np.full((5, 1), 0.95, np.float32))
    # Boxes that aren't kept make no image uncertain, however far transforms disagree about them.
    assert least_certain(much, limits, 3) == [1, 2, 3]
    assert least_certain(much, thresholds({1: 0.85, 2: None}), 3) == [1, 2, 3]
    assert [label["disagreement"] for label in embedded(made(doubted(world)))["labels"]] == [0.75, 1.0, 0.1, 0.5, 0.0]
    assert {label["disagreement"] for label in embedded(made(world))["labels"]} == {0.0}


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH (Debian: apt-get install chromium)")
def test_labels_are_filtered_by_disagreement_in_a_browser(world: dict[str, Any], tmp_path: Path) -> None:
    script = """
    const control = () => byId("disagreement-control").hidden;
    const shown = () => [...document.querySelectorAll("figcaption")].map(c => c.textContent).join(", ");
    const states = [control()];
    for (const value of ["0", "0.1", "0.5"]) {
      byId("disagreement").value = value; byId("disagreement").dispatchEvent(new Event("input")); states.push(shown());
    }
    states.push([...document.querySelectorAll("figure svg text title")].map(t => t.textContent).join(", "));
    document.body.dataset.states = JSON.stringify(states);
    """
    assert in_a_browser(made(world), script, tmp_path)[0] is True, "there is nothing to filter by"
    assert in_a_browser(made(doubted(world)), script, tmp_path) == [
        False,
        "2.png · 1 label, 1.png · 1 label, 3.png · 0 labels",
        "2.png · 1 label, 1.png · 1 label",
        "1.png · 1 label",
        "disagreement 0.75",
    ]
