"""Rendered people: geometry, visibility, and who is left and right."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from rendered.bodies import Figure, sample_body, solve
from rendered.canvas import OCCLUDER, Canvas
from rendered.people import KEYPOINTS, draw_person
from rendered.poses import POSE_FIELDS, POSES, mirror_pose, sample_pose
from rendered.scene import CATEGORIES, SceneSpec, annotate_person, compose_scene

SIZE = 160


UPRIGHT = np.zeros(len(POSE_FIELDS))


def figure(name: str = "standing", yaw: float = 0.0, seed: int = 0, **changes) -> Figure:
    rng = np.random.default_rng(seed)
    body = replace(sample_body(rng, "home"), hair_style="short")
    made = Figure(body, sample_pose(rng, name), name, yaw, 5.0, SIZE / 2, 0.92 * SIZE, 0.8 * SIZE)
    return replace(made, **changes)


def draw(fig: Figure) -> tuple[Canvas, dict[str, tuple[float, float, bool]]]:
    canvas = Canvas(SIZE, SIZE)
    return canvas, draw_person(canvas, fig, owner=1)


def annotate(canvas: Canvas, fig: Figure, points: dict, mask: np.ndarray | None = None) -> dict:
    mask = canvas.owners > 0 if mask is None else mask
    annotation = annotate_person(canvas, fig, 1, canvas.box(mask), canvas.area(mask), points)
    assert annotation is not None
    return annotation


def visibility(annotation: dict) -> dict[str, int]:
    return dict(zip(KEYPOINTS, annotation["keypoints"][2::3], strict=True))


@pytest.fixture(scope="module", params=["home", "away"])
def scenes(request) -> list[tuple[np.ndarray, list[dict], Canvas]]:
    spec = SceneSpec("people", request.param, 192, 160, seed=11)
    return [compose_scene(spec, i) for i in range(120)]


def test_category_is_coco_person():
    (person,) = CATEGORIES["people"]
    assert person["id"] == 1
    assert person["name"] == "person"
    assert person["keypoints"][:3] == ["nose", "left_eye", "right_eye"]
    assert len(person["keypoints"]) == 17
    skeleton = {frozenset(pair) for pair in person["skeleton"]}
    assert len(skeleton) == len(person["skeleton"]) == 19
    names = [{person["keypoints"][k - 1] for k in pair} for pair in person["skeleton"]]
    for side in ("left", "right"):
        for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"), ("eye", "ear")):
            assert {f"{side}_{a}", f"{side}_{b}"} in names


@pytest.mark.parametrize(("yaw", "sign"), [(0, 1), (180, -1)])
def test_left_is_the_persons_left(yaw, sign):
    _, points = draw(figure(yaw=yaw))
    for joint in ("shoulder", "hip", "ear"):
        assert sign * (points[f"left_{joint}"][0] - points[f"right_{joint}"][0]) > 4


@pytest.mark.parametrize(("yaw", "near", "far"), [(90, "right", "left"), (-90, "left", "right")])
def test_profile_shows_the_near_side(yaw, near, far):
    """Who faces the right of the picture shows the right ear and hides the left one."""
    _, points = draw(figure(yaw=yaw, pose=UPRIGHT))
    assert np.sign(points["nose"][0] - points[f"{near}_ear"][0]) == np.sign(yaw)
    assert points[f"{near}_ear"][2]
    assert not points[f"{far}_ear"][2]
    assert points[f"{near}_shoulder"][2]
    assert not points[f"{far}_shoulder"][2]


def test_face_is_seen_from_the_front_only():
    for yaw, expected in ((0, 2), (180, 1)):
        fig = figure(yaw=yaw, pose=UPRIGHT)
        canvas, points = draw(fig)
        seen = visibility(annotate(canvas, fig, points))
        assert all(seen[name] == expected for name in ("nose", "left_eye", "right_eye")), (yaw, seen)


@pytest.mark.parametrize("pose", sorted(POSES))
def test_mirrored_person_has_mirrored_keypoints(pose):
    """A mirror swaps left and right and turns the other way: the skeleton must agree to rounding."""
    fig = figure(pose, yaw=37.0, seed=3)
    _, points = draw(fig)
    _, mirrored = draw(replace(fig, pose=mirror_pose(fig.pose), yaw=-fig.yaw))
    for name, (x, y, shown) in points.items():
        twin = name.replace("left", "R").replace("right", "left").replace("R", "right")
        assert mirrored[twin] == (pytest.approx(SIZE - x, abs=1e-6), pytest.approx(y, abs=1e-6), shown)


def test_mirroring_twice_is_nothing():
    pose = sample_pose(np.random.default_rng(0), "running")
    assert np.array_equal(mirror_pose(mirror_pose(pose)), pose)


def test_limbs_keep_their_lengths():
    """Bones are rigid in three dimensions, whatever the pose."""
    rng = np.random.default_rng(5)
    body = sample_body(rng, "away")
    for name in POSES:
        joints = solve(body, sample_pose(rng, name), 25.0, 8.0).points
        for side in ("left", "right"):
            assert np.linalg.norm(joints[f"{side}_elbow"] - joints[f"{side}_shoulder"]) == pytest.approx(body.arm)
            assert np.linalg.norm(joints[f"{side}_knee"] - joints[f"{side}_hip"]) == pytest.approx(body.leg)


def test_keypoints_are_pixel_indices():
    """COCO's pixel index is the continuous coordinate minus a half; detectron2 adds it again."""
    fig = figure()
    canvas, points = draw(fig)
    keypoints = np.array(annotate(canvas, fig, points)["keypoints"]).reshape(17, 3)
    drawn = np.array([points[name][:2] for name in KEYPOINTS])
    assert np.abs(keypoints[:, :2] + 0.5 - drawn).max() < 0.006


def test_cover_makes_occluded_and_shrinks_area():
    fig = figure(pose=UPRIGHT)
    canvas, points = draw(fig)
    whole = canvas.owners > 0
    before = annotate(canvas, fig, points, whole)
    line = points["left_knee"][1] - 8
    canvas.owner = OCCLUDER
    canvas.rect(0, line, SIZE, SIZE, (90, 90, 90))
    after = annotate(canvas, fig, points, whole)
    assert after["area"] < before["area"]
    assert after["bbox"] == before["bbox"]
    was, now = visibility(before), visibility(after)
    below = {name for name in KEYPOINTS if points[name][1] > line + 1}
    assert below >= {"left_knee", "right_knee", "left_ankle", "right_ankle"}
    assert all(was[name] == 2 and now[name] == 1 for name in below)
    assert all(now[name] == was[name] for name in KEYPOINTS if points[name][1] < line - 1)


def test_outside_the_image_is_unlabelled():
    fig = figure(ground=1.3 * SIZE)
    canvas, points = draw(fig)
    annotation = annotate(canvas, fig, points)
    keypoints = dict(zip(KEYPOINTS, np.array(annotation["keypoints"]).reshape(17, 3).tolist(), strict=True))
    assert keypoints["left_ankle"] == keypoints["right_ankle"] == [0, 0, 0]
    assert annotation["bbox"][1] + annotation["bbox"][3] == SIZE
    assert 0 < annotation["num_keypoints"] < 17


@pytest.mark.parametrize(("yaw", "expected"), [(0, 2), (180, 1)])
def test_own_body_hides(yaw, expected):
    """Arms folded in front of the chest: seen from the front, behind the trunk from the back."""
    folded = {"arm": 40, "turn": 70, "elbow": 95}
    pose = UPRIGHT.copy()
    for name, value in folded.items():
        pose[[POSE_FIELDS.index(f"{name}_{side}") for side in ("left", "right")]] = value
    fig = figure(pose=pose, yaw=yaw)
    canvas, points = draw(fig)
    seen = visibility(annotate(canvas, fig, points))
    assert {seen["left_wrist"], seen["right_wrist"]} == {expected}
    assert seen["left_shoulder"] == seen["left_knee"] == 2


def test_visible_keypoints_lie_on_the_drawn_person(scenes):
    worst = 0.0
    for _, annotations, canvas in scenes:
        for annotation, (owner, _fig) in zip(annotations, canvas.annotated, strict=True):
            distance = cv2.distanceTransform((canvas.owners != owner).astype(np.uint8), cv2.DIST_L2, 5) / canvas.factor
            for x, y, v in np.array(annotation["keypoints"]).reshape(17, 3):
                if v == 2:
                    worst = max(worst, distance[int((y + 0.5) * canvas.factor), int((x + 0.5) * canvas.factor)])
    assert worst <= 1.0


def test_boxes_hold_their_keypoints(scenes):
    for image, annotations, _ in scenes:
        height, width = image.shape[:2]
        for a in annotations:
            x, y, w, h = a["bbox"]
            assert x >= 0
            assert y >= 0
            assert w > 0
            assert h > 0
            assert x + w <= width
            assert y + h <= height
            assert 16 <= a["area"] <= w * h
            assert a["iscrowd"] == 0
            assert a["category_id"] == 1
            keypoints = np.array(a["keypoints"], float).reshape(17, 3)
            assert a["num_keypoints"] == (keypoints[:, 2] > 0).sum()
            assert (keypoints[keypoints[:, 2] == 0] == 0).all()
            labelled = keypoints[keypoints[:, 2] > 0, :2]
            assert (labelled >= 0).all()
            assert (labelled <= (width - 1, height - 1)).all()
            inside = (labelled + 0.5 >= np.array([x, y]) - 1.5) & (labelled + 0.5 <= np.array([x + w, y + h]) + 1.5)
            assert inside.all()


def test_area_counts_what_nothing_covers(scenes):
    for _, annotations, canvas in scenes[:40]:
        for a, (owner, _fig) in zip(annotations, canvas.annotated, strict=True):
            assert a["area"] == pytest.approx((canvas.owners == owner).sum() / 4, abs=0.01)


def test_population(scenes):
    """Empty scenes, people too small, cut ones, covered ones and all directions occur, none of them always."""
    people = [a for _, annotations, _ in scenes for a in annotations]
    figures = [fig for _, _, canvas in scenes for _, fig in canvas.annotated]
    empty = np.mean([not annotations for _, annotations, _ in scenes])
    assert 0.04 < empty < 0.25
    assert max(len(annotations) for _, annotations, _ in scenes) == 4
    too_small = np.mean([a["num_keypoints"] == 0 for a in people])
    assert 0.02 < too_small < 0.2
    assert all(a["keypoints"] == [0] * 51 for a in people if a["num_keypoints"] == 0)
    cut = np.mean([0 < a["num_keypoints"] < 17 for a in people])
    assert 0.05 < cut < 0.5
    values = np.concatenate([a["keypoints"][2::3] for a in people if a["num_keypoints"]])
    assert (values == 2).mean() > 0.5
    assert (values == 1).mean() > 0.1
    assert {f.facing for f in figures} == {"front", "back", "left", "right"}
    assert len({f.pose_name for f in figures}) >= 8
    tall = np.mean([a["bbox"][3] / image.shape[0] > 0.4 for image, annotations, _ in scenes for a in annotations])
    assert 0.5 < tall < 0.92
