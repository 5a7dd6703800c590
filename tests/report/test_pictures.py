"""Pictures with labels on them: what is chosen, and where it is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from coco_samples import PERSON, box, coco, image, person
from matplotlib.patches import Rectangle
from PIL import Image

from datadistill.detections import Detections
from datadistill.errors import UserError
from datadistill.report.comparison import (
    choose_comparison_images,
    comparison_figure,
    detections_as_annotations,
)
from datadistill.report.drawing import BOX_COLOURS, WRONG, Pen
from datadistill.report.ensemble_picture import ensemble_figure, ensemble_from_json
from datadistill.report.galleries import category_gallery_figure, choose_category_images, choose_images, gallery_figure
from datadistill.report.picture_rows import read_picture
from datadistill.tasks.task import get_task

NOTE = "ours on rendered data (proxy)"
PEOPLE, OBJECTS = get_task("keypoints"), get_task("objects")
CAT, DOG = {"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}


@pytest.fixture
def images(tmp_path):
    """Eight small JPEGs of different shapes, as COCO image entries."""
    entries = []
    for number in range(1, 9):
        width, height = 60 + 5 * number, 64
        path = tmp_path / f"{number}.jpg"
        noise = np.random.default_rng(number).integers(0, 255, (height, width, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        entries.append(image(number, width, height, str(path)))
    return entries


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text()]


def points(axes) -> list[tuple[float, float]]:
    """Where single dots are drawn."""
    return [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.get_lines() if len(line.get_xdata()) == 1]


def boxes(axes) -> list[tuple[float, float, float, float]]:
    return [patch.get_bbox().bounds for patch in axes.patches if isinstance(patch, Rectangle)]


def check_files(paths, figure) -> None:
    pdf, png = paths
    assert pdf.read_bytes().startswith(b"%PDF")
    with Image.open(png) as picture:
        assert picture.size == pytest.approx(figure.get_size_inches() * 200, abs=1)
    assert any(text.startswith(NOTE) for text in texts(figure))


def test_gallery(images, tmp_path, saved_figures):
    people = [person(i, (5, 5, 20, 40), score=0.1 * i, num_keypoints=17) for i in range(1, 9)]
    labels = coco(images, people)
    paths = gallery_figure(labels, tmp_path / "figure3", task=PEOPLE, seed=1, note=NOTE, columns=2, lines=1)
    (figure,) = saved_figures
    check_files(paths, figure)
    assert {"most confident", "random", "0.80", "0.70"} <= set(texts(figure))
    assert len(figure.axes) == 4
    axes = figure.axes[0]
    # The first keypoint is pixel index (7.5, 9): its pixel's centre is half a pixel further.
    assert points(axes)[0] == (8.0, 9.5)
    assert boxes(axes) == [(5, 5, 20, 40)]
    assert axes.get_xlim() == (0, images[7]["width"])
    assert axes.get_ylim() == (64, 0)


def test_gallery_marks_mistakes(images, tmp_path, saved_figures):
    good = [person(i, (5, 5, 20, 40), score=0.5, num_keypoints=17) for i in range(1, 9)]
    wrong = person(4, (40, 5, 20, 40), score=0.9, num_keypoints=17)
    gallery_figure(
        coco(images, [*good, wrong]),
        tmp_path / "g",
        task=PEOPLE,
        seed=1,
        note=NOTE,
        truth=coco(images, good),
        columns=2,
        lines=1,
    )
    (figure,) = saved_figures
    assert any(text.startswith("most confident mistakes") for text in texts(figure))
    axes = figure.axes[-1]
    assert axes.get_xlim()[1] == images[3]["width"]
    colours = {patch.get_bbox().bounds: patch.get_edgecolor() for patch in axes.patches}
    assert colours[40, 5, 20, 40] != colours[5, 5, 20, 40]


def test_hidden_keypoints_are_not_drawn(images, tmp_path, saved_figures):
    labels = coco(images[:1], [person(1, (5, 5, 20, 40), visible=4, score=0.5)])
    gallery_figure(labels, tmp_path / "g", task=PEOPLE, seed=1, note=NOTE)
    assert len(points(saved_figures[0].axes[0])) == 4


def test_choice_of_images():
    scores = {1: 0.2, 2: 0.9, 3: 0.5, 4: 0.8, 5: 0.4}
    labels = coco([image(i) for i in range(1, 8)], [person(i, (0, 0, 9, 9), score=s) for i, s in scores.items()])
    labels["annotations"].append(person(6, (0, 0, 9, 9), visible=0, score=1.0))
    chosen = choose_images(labels, PEOPLE, 4, best=2, randomly=2)
    assert chosen["best"] == [2, 4]
    assert set(chosen["random"]) < {1, 3, 5}
    assert choose_images(labels, PEOPLE, 4, best=2, randomly=2) == chosen
    drawn = {tuple(choose_images(labels, PEOPLE, seed, best=2, randomly=2)["random"]) for seed in range(20)}
    assert len(drawn) > 1
    assert len(choose_images(labels, PEOPLE, 4, best=2, randomly=9)["random"]) == 3


def test_rare_categories_choose_their_image_first():
    """Image 1 has the only dog and a cat: the cat gets another image."""
    labels = coco([image(1), image(2)], [box(1, (0, 0, 9, 9), 7), box(1, (0, 0, 9, 9), 3), box(2, (0, 0, 9, 9), 3)])
    for seed in range(10):
        assert choose_category_images(labels, [3, 7], seed) == {7: 1, 3: 2}


def test_gallery_by_category(images, tmp_path, saved_figures):
    made = [box(i, (5, 5, 20, 40), 3, score=0.5) for i in range(1, 9)] + [box(2, (30, 5, 20, 40), 7, score=0.7)]
    labels, truth = coco(images, made, [CAT, DOG]), coco(images, made[:-1], [CAT, DOG])
    paths = category_gallery_figure(labels, tmp_path / "figure7", task=OBJECTS, seed=1, note=NOTE, truth=truth)
    (figure,) = saved_figures
    check_files(paths, figure)
    assert {"cat (8 labels)", "dog (1 label)", "cat 0.50", "dog 0.70"} <= set(texts(figure))
    # One picture a category, and the one with the wrong dog once more among the mistakes.
    assert [axes.get_xlim()[1] for axes in figure.axes][1:] == [images[1]["width"], images[1]["width"]]


def test_more_categories_than_room_are_spread_evenly(images, tmp_path, saved_figures):
    categories = [{"id": i, "name": f"c{i}"} for i in range(1, 9)]
    made = [box(n, (5, 5, 20, 40), i, score=0.5) for i in range(1, 9) for n in range(1, 10 - i)]
    category_gallery_figure(
        coco(images, made, categories), tmp_path / "g", task=OBJECTS, seed=1, note=NOTE, columns=3, lines=1
    )
    titles = [axes.get_title(loc="left") for axes in saved_figures[0].axes]
    assert [title.split()[0] for title in titles] == ["c1", "c5", "c8"]


def text_extents(figure, axes) -> list:
    """What the texts on the axes and in their legend cover, in the figure's pixels, as the PNG has them."""
    figure.draw_without_rendering()
    legend = axes.get_legend()
    return [text.get_window_extent() for text in [*axes.texts, *(legend.get_texts() if legend else [])]]


def overlapping(extents) -> list:
    return [
        (a, b)
        for i, a in enumerate(extents)
        for b in extents[:i]
        if min(a.x1, b.x1) > max(a.x0, b.x0) and min(a.y1, b.y1) > max(a.y0, b.y0)
    ]


@pytest.fixture
def crowded(images):
    """An image of 12 categories, three boxes each, most of them on one another; one of its own for each category."""
    names = ["cat", "traffic light", "a name that is far too long for any picture of this width", *"defghijkl"]
    categories = [{"id": i, "name": name} for i, name in enumerate(names, 1)]
    places = np.random.default_rng(0).uniform(0, [45, 45, 20, 20], (36, 4)).round(1)
    crowd = [
        box(1, (x, y, 5 + w, 5 + h), 1 + i % 12, score=0.3 + i / 72) for i, (x, y, w, h) in enumerate(places.tolist())
    ]
    return coco(images, [*crowd, *(box(2 + i % 7, (5, 5, 20, 40), 1 + i, score=0.9) for i in range(12))], categories)


def test_texts_of_a_gallery_cover_neither_each_other_nor_leave_their_picture(crowded, tmp_path, saved_figures):
    truth = {**crowded, "annotations": crowded["annotations"][36:]}
    category_gallery_figure(crowded, tmp_path / "figure7", task=OBJECTS, seed=1, note=NOTE, truth=truth)
    (figure,) = saved_figures
    extents = [text_extents(figure, axes) for axes in figure.axes]
    assert sum(map(len, extents)) > 40
    assert [pair for entries in extents for pair in overlapping(entries)] == []
    for axes in figure.axes:
        inside = axes.bbox.padded(0.01)
        for text in axes.texts:
            extent = text.get_window_extent()
            assert inside.contains(extent.x0, extent.y0), text.get_text()
            assert inside.contains(extent.x1, extent.y1), text.get_text()


def test_a_name_without_room_is_in_the_legend_below_its_picture(crowded, tmp_path, saved_figures):
    """All in one place: the most confident one is named there, and every other one either there or below."""
    stack = coco(
        crowded["images"][:1],
        [box(1, (2, 2, 8, 6), i, score=0.9 - i / 100) for i in range(1, 9)],
        crowded["categories"],
    )
    comparison_figure(
        stack, [("a", stack["annotations"])], [1], tmp_path / "f", task=OBJECTS, note=NOTE, score_threshold=0
    )
    (figure,) = saved_figures
    (axes,) = figure.axes
    assert "cat 0.89" in [text.get_text() for text in axes.texts]
    named = {text.get_text().rsplit(" ", 1)[0] for text in axes.texts}
    legend = {text.get_text() for text in axes.get_legend().get_texts()}
    assert legend
    assert not named & legend
    assert len([name for name in named if not name[0].isdigit()]) + len(legend) == 8
    # It is in the room that was made for it: below its picture, above the note.
    figure.draw_without_rendering()
    extent, note = axes.get_legend().get_window_extent(), figure.texts[-1].get_window_extent()
    assert note.y1 <= extent.y0
    assert extent.y1 <= axes.bbox.y0 + 1
    assert overlapping(text_extents(figure, axes)) == []


def test_twelve_categories_have_twelve_colours(crowded, tmp_path, saved_figures):
    apart = coco(
        [image(1, 400, 300, crowded["images"][0]["file_name"])],
        [box(1, (30 * i, 20, 20, 40), i) for i in range(1, 13)],
        crowded["categories"],
    )
    category_gallery_figure(apart, tmp_path / "f", task=OBJECTS, seed=1, note=NOTE)
    assert len({patch.get_edgecolor() for patch in saved_figures[0].axes[0].patches}) == 12
    assert not {WRONG, Pen.truth, Pen.neutral} & set(BOX_COLOURS)


def grid(shift: float = 0.0) -> np.ndarray:
    keypoints = np.array(person(1, (10, 10, 30, 40))["keypoints"]).reshape(-1, 3)
    return keypoints + np.array([shift, 0, 0])


def test_ensemble(images, tmp_path, saved_figures):
    """Size of the box: square root of 30 x 40, so keypoints further than 3.46 px from the true ones get a ring."""
    astray = grid(0.5)
    astray[3, 0] += 3.4
    astray[5, 0] += 3.6
    transforms = [("400", astray), ("400 flip", grid(1.0)), ("500", grid()), ("500 flip", grid())]
    picture = read_picture(images[0]["file_name"])
    paths = ensemble_figure(
        picture,
        (10, 10, 40, 50),
        transforms,
        grid(),
        tmp_path / "figure2",
        task=PEOPLE,
        note=NOTE,
        category=PERSON,
        truth=grid(0.5),
    )
    (figure,) = saved_figures
    check_files(paths, figure)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["400", "400 flip", "500", "500 flip", "ensemble", "hidden truth"]
    rings = [
        [tuple(p) for line in axes.get_lines() if line.get_markersize() == 8 for p in line.get_xydata()]
        for axes in figure.axes
    ]
    assert rings == [[tuple(astray[5, :2])], [], [], [], [], []]
    # Continuous coordinates are drawn as they are.
    assert points(figure.axes[5])[0] == tuple(grid(0.5)[0, :2])
    assert figure.axes[0].get_xlim()[0] == pytest.approx(4.0)
    assert figure.axes[0].get_ylim() == pytest.approx((56.0, 4.0))


def test_a_person_at_the_edge_of_the_picture_is_not_cut_to_a_sliver(images, tmp_path, saved_figures):
    """A box of 4 x 40 at the right edge of a picture 65 wide: as wide as in its middle, and all of it inside."""
    picture, edge = read_picture(images[0]["file_name"]), []
    for left in (30, 61):
        transforms = [("400", grid()), ("500", grid())]
        box = (left, 10, left + 4, 50)
        ensemble_figure(picture, box, transforms, grid(), tmp_path / "edge", task=PEOPLE, note=NOTE, category=PERSON)
        edge.append(saved_figures[-1].axes[0].get_xlim())
    assert edge[1][1] - edge[1][0] == pytest.approx(edge[0][1] - edge[0][0])
    assert edge[1][1] == 65
    assert "Rings: more than 1.3 px" in " ".join(texts(saved_figures[-1])).replace("\n", " ")


def test_a_score_at_the_right_edge_stays_inside(images, tmp_path, saved_figures):
    labels = coco(images[:1], [person(1, (61, 20, 4, 30), score=0.9)])
    gallery_figure(labels, tmp_path / "edge", task=PEOPLE, seed=1, note=NOTE, columns=1, lines=1)
    (axes,) = saved_figures[0].axes
    (score,) = [text for text in axes.texts if text.get_text() == "0.90"]
    saved_figures[0].draw_without_rendering()
    end = score.get_window_extent().transformed(axes.transData.inverted()).x1
    assert end <= 65


def test_ensemble_from_json(images, tmp_path, saved_figures):
    values = {
        "image": images[0]["file_name"],
        "box": [10, 10, 40, 50],
        "transforms": [{"label": str(size), "points": grid().tolist()} for size in range(400, 1300, 50)],
        "ensemble": grid().tolist(),
        "truth": None,
        "category": PERSON,
        "task": "keypoints",
    }
    check_files(ensemble_from_json(values, tmp_path / "figure2", note=NOTE), saved_figures[0])
    assert len(saved_figures[0].axes) == 19
    with pytest.raises(UserError, match="lacks category, ensemble, task"):
        ensemble_from_json({k: values[k] for k in ("image", "box", "transforms")}, tmp_path / "x", note=NOTE)


def test_comparison(images, tmp_path, saved_figures):
    split = coco(images, [person(i, (5, 5, 20, 40)) for i in (1, 2, 3)])
    first = [person(i, (5, 5, 20, 40), score=0.9) for i in (1, 2)]
    second = [person(1, (5, 5, 20, 40), score=0.69), person(2, (5, 5, 20, 40), score=0.7)]
    models = [("labelled images alone", first), ("distilled", second)]
    paths = comparison_figure(split, models, [1, 2], tmp_path / "figure4", task=PEOPLE, note=NOTE, score_threshold=0.7)
    (figure,) = saved_figures
    check_files(paths, figure)
    assert {"labelled images alone", "distilled"} <= set(texts(figure))
    assert [len(boxes(axes)) for axes in figure.axes] == [1, 1, 0, 1]
    # Three instances in the split: the first model has but two detections, the second three and a weaker one.
    weaker = [*second, person(2, (9, 5, 20, 40), score=0.3), person(1, (9, 5, 20, 40), score=0.2)]
    comparison_figure(
        split, [models[0], ("b", weaker)], [1, 2], tmp_path / "matched", task=PEOPLE, note=NOTE, score_threshold=None
    )
    assert [len(boxes(axes)) for axes in saved_figures[1].axes] == [1, 1, 1, 2]
    assert any("as many as there are instances" in text for text in texts(saved_figures[1]))
    chosen = choose_comparison_images(split, PEOPLE, 1, 2)
    assert len(chosen) == 2
    assert set(chosen) < {1, 2, 3}
    assert choose_comparison_images(split, PEOPLE, 1, 2) == chosen


def test_detections_as_annotations():
    keypoints = np.full((1, 17, 3), 10.5, np.float32)
    detections = Detections(
        np.array([4, 9]), np.array([1]), np.float32([[1, 2, 4, 8]]), np.float32([0.5]), np.array([1]), keypoints
    )
    (annotation,) = detections_as_annotations(detections, PEOPLE)
    assert (annotation["image_id"], annotation["bbox"], annotation["score"]) == (9, [1, 2, 3, 6], 0.5)
    assert annotation["keypoints"] == [10.0, 10.0, 2.0] * 17


def test_pictures_are_turned_as_their_exif_says(tmp_path):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (40, 20)).save(path, exif=exif)
    assert read_picture(path).shape == (40, 20, 3)


def test_unreadable_pictures_and_empty_label_sets_are_named(images, tmp_path):
    with pytest.raises(UserError, match=r"missing\.jpg: can't be read as an image"):
        read_picture(tmp_path / "missing.jpg")
    with pytest.raises(UserError, match="the label set is empty"):
        gallery_figure(coco(images, []), tmp_path / "g", task=PEOPLE, seed=1, note=NOTE)
