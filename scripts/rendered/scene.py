"""Scenes: what is in a picture, how it is annotated, and how a split is written to disk."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from datadistill.progress import progress
from rendered import bodies, objects, people, poses
from rendered.backgrounds import draw_background
from rendered.bodies import Figure
from rendered.canvas import OCCLUDER, Canvas, hsv
from rendered.foreground import OCCLUDERS, draw_occluder, draw_seat
from rendered.light import finish
from rendered.people import KEYPOINTS

KINDS = ("people", "objects")
DOMAINS = ("home", "away")
MIN_VISIBLE = 16.0  # px: a smaller visible area isn't annotated
MIN_FRACTION = 0.3  # of the figure inside the image: what shows less gets a box without keypoints
TOO_SMALL = 0.17  # of the image's height: people who stand smaller get a box without keypoints

CATEGORIES: dict[str, list[dict]] = {
    "people": [
        {
            "id": 1,
            "name": "person",
            "supercategory": "person",
            "keypoints": list(KEYPOINTS),
            "skeleton": [list(pair) for pair in people.SKELETON],
        }
    ],
    "objects": objects.categories(),
}


@dataclass(frozen=True)
class SceneSpec:
    """What to render. Image sizes vary: the long side is max(width, height), in landscape, portrait or square."""

    kind: str  # "people" | "objects"
    domain: str  # "home" | "away"
    width: int
    height: int
    seed: int

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"scene kind {self.kind!r} is unknown: choose one of {', '.join(KINDS)}")
        if self.domain not in DOMAINS:
            raise ValueError(f"scene domain {self.domain!r} is unknown: choose one of {', '.join(DOMAINS)}")
        if min(self.width, self.height) < 32:
            raise ValueError(f"scenes must be at least 32 pixels wide and high, not {self.width} x {self.height}")


def scene_rng(spec: SceneSpec, index: int, stream: int = 0) -> np.random.Generator:
    """The random stream of one scene; other values of `stream` are independent of it (1: clips)."""
    if index < 0:
        raise ValueError(f"scene index {index} is negative")
    kind, domain = KINDS.index(spec.kind), DOMAINS.index(spec.domain)
    words = (spec.seed, kind, domain, spec.width, spec.height, index, stream)
    return np.random.default_rng(np.random.SeedSequence(words))


def image_size(rng: np.random.Generator, width: int, height: int) -> tuple[int, int]:
    """(width, height) of one image: the long side is fixed, aspect and orientation vary."""
    long, short = max(width, height), min(width, height)
    kind = rng.choice(("landscape", "portrait", "square"), p=(0.62, 0.28, 0.1))
    if kind == "square":
        return long, long
    other = max(round(min(short, long * rng.choice((1.0, 0.75, 2 / 3)))), 1)
    return (long, other) if kind == "landscape" else (other, long)


def render_scene(spec: SceneSpec, index: int) -> tuple[np.ndarray, list[dict]]:
    """One image and its annotations: a pure function of its arguments.

    Returns uint8 RGB (h, w, 3) and COCO annotations without `id` and `image_id`. Boxes are [x, y, w, h] in continuous
    coordinates (the top-left corner of the image is (0, 0)) around all of the figure that lies in the image; `area`
    counts the pixels that nothing covers. Keypoints are COCO pixel indices (continuous coordinates minus 0.5).
    """
    image, annotations, _canvas = compose_scene(spec, index)
    return image, annotations


def compose_scene(spec: SceneSpec, index: int) -> tuple[np.ndarray, list[dict], Canvas]:
    """`render_scene`, with the canvas that knows who owns each pixel; annotation k is about `canvas.annotated[k]`."""
    rng = scene_rng(spec, index)
    width, height = image_size(rng, spec.width, spec.height)
    canvas = Canvas(width, height)
    draw = _people_scene if spec.kind == "people" else objects.objects_scene
    annotations = draw(canvas, rng, spec.domain)
    return finish(canvas.picture(), rng, spec.domain), annotations, canvas


# -------------------------------------------------------------------------------------------------------------- people


def sample_figures(rng: np.random.Generator, domain: str, width: int, height: int, horizon: float) -> list[Figure]:
    """People of a scene, from back to front; none in about 12 % of scenes."""
    count = int(rng.choice(5, p=(0.12, 0.38, 0.27, 0.15, 0.08)))
    team = hsv(rng.uniform(), rng.uniform(0.75, 1.0), rng.uniform(0.7, 1.0))
    names, weights = list(poses.POSE_WEIGHTS[domain]), np.array(list(poses.POSE_WEIGHTS[domain].values()), float)
    tilt = rng.uniform(0, 16)
    figures: list[Figure] = []
    for _ in range(count):
        kind = rng.choice(("large", "middle", "tiny"), p=(0.72, 0.21, 0.07))
        low, high = {"large": (0.55, 0.95), "middle": (0.3, 0.55), "tiny": (0.09, TOO_SMALL)}[str(kind)]
        size = height * rng.uniform(low, high)
        if kind == "large" and rng.uniform() < 0.13:
            size *= rng.uniform(1.3, 1.7)  # cut by the image's border
        elif kind == "large" and rng.uniform() < 0.07:
            size = height * rng.uniform(1.8, 2.5)  # a close-up
        body = bodies.sample_body(rng, domain, team if rng.uniform() < 0.7 else None)
        name = names[rng.choice(len(names), p=weights / weights.sum())]
        yaw, facing = poses.sample_yaw(rng)
        reach = size / height
        ground = horizon + (height - horizon) * np.clip(0.08 + 0.9 * reach + rng.uniform(-0.08, 0.1), 0.03, 0.98)
        if size > 0.95 * height:
            ground = size * rng.uniform(0.98, 1.1)
        elif rng.uniform() < 0.08:
            ground += size * rng.uniform(0.1, 0.4)
        for _attempt in range(8):
            x = width * (
                rng.uniform(0.1, 0.9) if rng.uniform() < 0.85 else rng.choice((0.0, 1.0)) + rng.uniform(-0.04, 0.04)
            )
            if all(abs(x - f.x) > 0.2 * max(size, f.size) for f in figures):
                break
        figures.append(
            Figure(body, poses.sample_pose(rng, name), name, yaw, tilt, float(x), float(ground), float(size), facing)
        )
    return sorted(figures, key=lambda f: f.ground)


def _people_scene(canvas: Canvas, rng: np.random.Generator, domain: str) -> list[dict]:
    horizon = draw_background(canvas, rng, domain, int(rng.integers(2, 6)))
    figures = sample_figures(rng, domain, canvas.width, canvas.height, horizon)
    drawn = []
    for owner, figure in enumerate(figures, start=1):
        drawn.append((owner, figure, *draw_figure(canvas, rng, domain, figure, owner)))
        if rng.uniform() < 0.22 and figure.size > 0.2 * canvas.height:
            x = figure.x + figure.size * rng.uniform(-0.22, 0.22)
            canvas.owner = OCCLUDER
            ground = min(figure.ground + 0.04 * figure.size, canvas.height + 4)
            size, kinds = min(figure.size, 1.2 * canvas.height), OCCLUDERS if domain == "away" else OCCLUDERS[:-1]
            draw_occluder(canvas, rng, domain, x, ground, size, kinds)
            canvas.owner = None
    annotations = []
    for owner, figure, box, full, points in drawn:
        annotation = annotate_person(canvas, figure, owner, box, full, points)
        if annotation is not None:
            annotations.append(annotation)
            canvas.annotated.append((owner, figure))
    return annotations


def draw_figure(
    canvas: Canvas, rng: np.random.Generator, domain: str, figure: Figure, owner: int
) -> tuple[list[float] | None, float, dict[str, tuple[float, float, bool]]]:
    """Draw a person with its shadow and seat; returns its box, its area inside the image and its keypoints."""
    canvas.shadow((figure.x, figure.ground), 0.24 * figure.size, 0.045 * figure.size)
    if figure.pose_name == "sitting":
        joints = bodies.solve(figure.body, figure.pose, figure.yaw, figure.tilt)
        seat = figure.ground + (joints.lowest + 0.045) * figure.size
        draw_seat(canvas, rng, domain, figure.x, seat, figure.ground, figure.size)
    points = people.draw_person(canvas, figure, owner)
    mask = canvas.owners == owner
    return canvas.box(mask), canvas.area(mask), points


def annotate_person(
    canvas: Canvas,
    figure: Figure,
    owner: int,
    box: list[float] | None,
    full: float,
    points: dict[str, tuple[float, float, bool]],
) -> dict | None:
    """The COCO annotation of a drawn person, once everything in front of it is drawn; None when too little shows."""
    mask = canvas.owners == owner
    area = canvas.area(mask)
    if box is None or area < MIN_VISIBLE:
        return None
    keypoints: list[float] = [0] * (3 * len(KEYPOINTS))
    count = 0
    if area < MIN_FRACTION * full:
        box = canvas.box(mask)
    elif figure.size > TOO_SMALL * canvas.height:
        for k, name in enumerate(KEYPOINTS):
            x, y, shown = points[name]
            if not (0.5 <= x < canvas.width - 0.5 and 0.5 <= y < canvas.height - 0.5):
                continue
            seen = shown and _on_top(canvas, owner, people.keypoint_parts(name), x, y)
            keypoints[3 * k : 3 * k + 3] = [round(x - 0.5, 2), round(y - 0.5, 2), 2 if seen else 1]
            count += 1
    return {
        "category_id": 1,
        "bbox": [round(v, 2) for v in box],
        "area": round(area, 2),
        "iscrowd": 0,
        "num_keypoints": count,
        "keypoints": keypoints,
    }


@cache
def _part_table(parts: tuple[int, ...]) -> np.ndarray:
    """Whether each of the 256 part codes is one of `parts`."""
    table = np.zeros(256, bool)
    table[list(parts)] = True
    return table


def _on_top(canvas: Canvas, owner: int, parts: Iterable[int], x: float, y: float) -> bool:
    """Whether one of the parts of `owner` covers most of a one-pixel neighbourhood of (x, y)."""
    f = canvas.factor
    i, j = int(y * f), int(x * f)
    window = np.s_[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
    own = canvas.owners[window] == owner
    on = own & _part_table(tuple(parts))[canvas.parts[window]]
    return bool(on.mean() >= 0.4)


# ------------------------------------------------------------------------------------------------------------- to disk


def _render_one(
    spec: SceneSpec, image_dir: str, first_id: int, jpeg_quality: int, index: int
) -> tuple[dict, list[dict]]:
    import cv2

    cv2.setNumThreads(1)
    image, annotations = render_scene(spec, index)
    image_id = first_id + index
    name = f"{image_id:012d}.jpg"
    path = os.path.join(image_dir, name)
    # OpenCV wants BGR.
    if not cv2.imwrite(path, image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality]):
        raise OSError(f"could not write {path}")
    height, width = image.shape[:2]
    record = {"id": image_id, "file_name": name, "width": width, "height": height, "license": 1}
    numbered = [{"id": 100 * image_id + k, "image_id": image_id, **a} for k, a in enumerate(annotations, start=1)]
    return record, numbered


def run_pool(task: partial, count: int, workers: int, label: str, unit: str = "image") -> list:
    """task(0), ..., task(count - 1), in order, over a pool of processes, with its progress."""
    if workers <= 1:
        return [task(i) for i in progress(range(count), label=label, unit=unit)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        chunk = max(1, min(16, count // (4 * workers)))
        return list(progress(pool.map(task, range(count), chunksize=chunk), total=count, label=label, unit=unit))


def render_images(
    spec: SceneSpec, count: int, image_dir: Path, first_id: int, *, workers: int, jpeg_quality: int = 92
) -> dict:
    """Write images first_id, ..., first_id + count - 1 as `%012d.jpg` to `image_dir`; returns a COCO dict.

    The result doesn't depend on `workers`. Annotation ids are 100 * image id + 1, 2, ...: unique across splits whose
    image ids are.
    """
    if first_id < 1:
        raise ValueError(f"image ids start at 1, not {first_id}")
    image_dir = Path(image_dir)
    image_dir.mkdir(parents=True, exist_ok=True)
    task = partial(_render_one, spec, str(image_dir), first_id, jpeg_quality)
    rendered = run_pool(task, count, workers, f"rendering {spec.kind}, {spec.domain}")
    return {
        "info": {
            "description": f"Rendered scenes: {spec.kind}, {spec.domain}, seed {spec.seed}",
            "version": "1",
            "year": 2018,
        },
        "licenses": [{"id": 1, "name": "Rendered by this repository: no third-party rights", "url": ""}],
        "images": [record for record, _ in rendered],
        "annotations": [a for _, group in rendered for a in group],
        "categories": CATEGORIES[spec.kind],
    }
