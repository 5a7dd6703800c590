"""What holds for all rendered data: purity, identifiers, domains, files."""

import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from rendered.clips import render_clips
from rendered.scene import CATEGORIES, DOMAINS, KINDS, SceneSpec, render_images, render_scene

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def spec(kind: str = "people", domain: str = "home", seed: int = 1) -> SceneSpec:
    return SceneSpec(kind, domain, 192, 160, seed)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("domain", DOMAINS)
def test_a_scene_is_a_pure_function(kind, domain):
    for index in (0, 7):
        image, annotations = render_scene(spec(kind, domain), index)
        again, same = render_scene(spec(kind, domain), index)
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3
        assert np.array_equal(image, again)
        assert annotations == same


def test_seeds_indices_and_kinds_give_other_scenes():
    specs = [spec(seed=1), spec(seed=2), spec(domain="away"), spec("objects")]
    images = [render_scene(s, i)[0].tobytes() for s in specs for i in range(8)]
    assert len(set(images)) == len(images)


def test_sizes_vary_and_keep_the_long_side():
    shapes = {render_scene(spec(), i)[0].shape[:2] for i in range(40)}
    assert all(max(shape) == 192 for shape in shapes)
    assert any(h > w for h, w in shapes)
    assert any(h < w for h, w in shapes)
    assert any(h == w for h, w in shapes)


@pytest.mark.parametrize("kind", KINDS)
def test_domains_differ_measurably(kind):
    """`away` is more saturated and noisier, by more than the spread within a domain."""
    grain, color = {}, {}
    for domain in DOMAINS:
        images = [render_scene(spec(kind, domain), i)[0] for i in range(40)]
        color[domain] = [cv2.cvtColor(im, cv2.COLOR_RGB2HSV)[..., 1].mean() for im in images]
        grey = [cv2.cvtColor(im, cv2.COLOR_RGB2GRAY).astype(np.float32) for im in images]
        grain[domain] = [np.median(np.abs(g - cv2.blur(g, (3, 3)))) for g in grey]
    for measure in (grain, color):
        a, b = (np.asarray(measure[d]) for d in DOMAINS)
        assert b.mean() - a.mean() > 0.5 * np.sqrt((a.var() + b.var()) / 2)


@pytest.mark.parametrize("kind", KINDS)
def test_files_do_not_depend_on_workers(tmp_path, kind):
    one = render_images(spec(kind), 12, tmp_path / "one", 501, workers=1)
    two = render_images(spec(kind), 12, tmp_path / "two", 501, workers=2)
    assert one == two
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert set(one) == {"info", "licenses", "images", "annotations", "categories"}
    assert one["categories"] == CATEGORIES[kind]
    assert [im["id"] for im in one["images"]] == list(range(501, 513))
    ids = [a["id"] for a in one["annotations"]]
    assert ids
    assert len(set(ids)) == len(ids)
    assert {a["image_id"] for a in one["annotations"]} <= set(range(501, 513))
    for im in one["images"]:
        assert im["file_name"] == f"{im['id']:012d}.jpg"
        picture = cv2.imread(str(tmp_path / "one" / im["file_name"]))
        assert picture.shape == (im["height"], im["width"], 3)


def test_saved_colours_are_rgb(tmp_path):
    """A channel swap on the way to disk would turn every face blue."""
    render_images(spec(), 1, tmp_path, 1, workers=1)
    saved = cv2.imread(str(tmp_path / f"{1:012d}.jpg"))[:, :, ::-1].astype(float)
    image = render_scene(spec(), 0)[0].astype(float)
    assert np.abs(saved - image).mean() < 6 < np.abs(saved[:, :, ::-1] - image).mean()


def test_evaluator_reads_the_annotations(tmp_path):
    written = render_images(spec(), 6, tmp_path, 1, workers=1)
    dataset = COCO()
    dataset.dataset = written
    dataset.createIndex()
    assert len(dataset.getAnnIds(catIds=[1])) == len(written["annotations"])


def test_clips_move_and_do_not_depend_on_workers(tmp_path):
    for workers in (1, 2):
        render_clips(spec(domain="away"), 4, tmp_path / str(workers), frames=6, workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    moved = []
    for path in sorted((tmp_path / "1").iterdir()):
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
        assert len(frames) == 6
        assert max(frames[0].shape) == 192
        moved.append(np.percentile(np.abs(frames[0] - frames[3]).max(axis=2), 99.5))
    assert max(moved) > 60


def test_import_is_light():
    code = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import rendered.scene, rendered.clips\n"
    code += "heavy = {'cv2', 'torch', 'av', 'detectron2', 'tqdm'} & set(sys.modules); assert not heavy, heavy"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("cats", "home", 192, 160, 1), "people, objects"),
        (("people", "moon", 192, 160, 1), "home, away"),
        (("people", "home", 8, 160, 1), "32 pixels"),
    ],
)
def test_bad_specs_say_what_is_wrong(arguments, word):
    with pytest.raises(ValueError, match=word):
        SceneSpec(*arguments)


def test_bad_numbers_say_what_is_wrong(tmp_path):
    with pytest.raises(ValueError, match="start at 1"):
        render_images(spec(), 1, tmp_path, 0, workers=1)
    with pytest.raises(ValueError, match="negative"):
        render_scene(spec(), -1)
    with pytest.raises(ValueError, match="clips show people"):
        render_clips(spec("objects"), 1, tmp_path, workers=1)
