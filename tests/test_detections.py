from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datadistill.detections import (
    Detections,
    concatenate,
    load_reusable,
    load_shards,
    read_libraries,
    shard_ids,
)
from datadistill.errors import UserError
from datadistill.files import digest

SPEC = {"stage": "predictions", "version": 1, "model": "m"}


def make(images: dict[int, list[float]], keypoints: int | None = 2) -> Detections:
    """Detections with given scores for each image id; boxes and keypoints tell them apart."""
    scores = np.array([s for values in images.values() for s in values], np.float32)
    index = np.repeat(np.arange(len(images)), [len(v) for v in images.values()])
    ids = np.array(list(images), np.int64)
    marks = ids[index] + scores
    return Detections(
        ids,
        index,
        np.stack([marks, marks, marks + 5, marks + 9], axis=1).astype(np.float32),
        scores,
        np.ones(len(scores), np.int64),
        None if keypoints is None else np.repeat(marks, keypoints * 3).reshape(-1, keypoints, 3).astype(np.float32),
    )


def equal(a: Detections, b: Detections) -> bool:
    return all(np.array_equal(getattr(a, c), getattr(b, c)) for c in Detections.__dataclass_fields__)


@pytest.mark.parametrize("keypoints", [None, 2])
def test_a_file_holds_all_of_it(tmp_path: Path, keypoints: int | None) -> None:
    detections = make({7: [0.9, 0.5], 3: [], 4: [0.1]}, keypoints)
    detections.save(tmp_path / "a.npz", [SPEC])
    found = Detections.load(tmp_path / "a.npz")
    assert (found.keypoints is None) == (keypoints is None)
    assert all(
        np.array_equal(getattr(found, c), getattr(detections, c))
        and getattr(found, c).dtype == getattr(detections, c).dtype
        for c in ("image_ids", "image_index", "boxes", "scores", "categories")
    )
    assert load_shards([tmp_path / "a.npz"])[1] == [SPEC]


def test_merging_sorts_images_by_id_and_detections_by_score() -> None:
    merged = concatenate([make({5: [0.5, 0.9], 1: [0.3]}), make({9: [], 2: [0.8, 0.7]})])
    assert merged.image_ids.tolist() == [1, 2, 5, 9]
    assert merged.ids.tolist() == [1, 2, 2, 5, 5]
    np.testing.assert_allclose(merged.scores, [0.3, 0.8, 0.7, 0.9, 0.5])
    # Every column follows.
    np.testing.assert_allclose(merged.boxes[:, 0], merged.ids + merged.scores, rtol=1e-6)
    np.testing.assert_allclose(merged.keypoints[:, 1, 2], merged.ids + merged.scores, rtol=1e-6)


@given(st.integers(1, 5))
def test_the_number_of_shards_changes_nothing(shards: int) -> None:
    images = {i: [0.9 - i / 100, 0.2] for i in (4, 8, 15, 16, 23, 42)}
    parts = [make({i: images[i] for i in shard_ids(images, shard, shards)}) for shard in range(shards)]
    assert equal(concatenate(parts[::-1]), concatenate([make(images)]))


def test_shards_take_turns() -> None:
    assert [shard_ids([5, 1, 9, 3, 7], i, 2) for i in range(2)] == [[1, 5, 9], [3, 7]]
    with pytest.raises(UserError, match="shard 2 of 2"):
        shard_ids([1], 2, 2)


def test_missing_repeated_and_foreign_images_are_named() -> None:
    detections = concatenate([make({1: [0.5]}), make({2: [0.5]})])
    assert detections.require_exactly([2, 1]) is detections
    with pytest.raises(UserError, match=r"un-120: 2 image\(s\) missing \(3, 4\)"):
        detections.require_exactly([1, 2, 3, 4], "un-120")
    with pytest.raises(UserError, match=r"1 image\(s\) not of this split \(2\)"):
        detections.require_exactly([1])
    with pytest.raises(UserError, match=r"1 image\(s\) repeated \(2\)"):
        concatenate([detections, make({2: []})]).require_exactly([1, 2])


def test_shards_of_other_settings_are_refused(tmp_path: Path) -> None:
    other = {**SPEC, "model": "n"}
    make({1: [0.5]}).save(tmp_path / "a.npz", [SPEC])
    make({2: [0.5]}).save(tmp_path / "b.npz", [SPEC])
    make({3: [0.5]}).save(tmp_path / "c.npz", [other])
    merged, lineage = load_shards([tmp_path / "b.npz", tmp_path / "a.npz"], digest(SPEC))
    assert merged.image_ids.tolist() == [1, 2]
    assert lineage == [SPEC]
    with pytest.raises(UserError, match=r"c\.npz: made with other settings than .*a\.npz"):
        load_shards([tmp_path / "a.npz", tmp_path / "c.npz"])
    with pytest.raises(UserError, match=r"a\.npz: made with other settings"):
        load_shards([tmp_path / "a.npz"], digest(other))


def test_shards_with_and_without_keypoints_do_not_mix() -> None:
    with pytest.raises(UserError, match="numbers of keypoints"):
        concatenate([make({1: [0.5]}), make({2: [0.5]}, None)])


def test_damaged_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.npz: no such file"):
        Detections.load(tmp_path / "none.npz")
    make({1: [0.5]}).save(tmp_path / "cut.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:200])
    with pytest.raises(UserError, match=r"cut\.npz: not a file of detections"):
        Detections.load(tmp_path / "cut.npz")
    with open(tmp_path / "other.npz", "wb") as stream:
        np.savez(stream, a=np.ones(3))
    with pytest.raises(UserError, match=r"other\.npz: not a file of detections"):
        Detections.load(tmp_path / "other.npz")


def test_some_images_are_taken_in_the_order_given() -> None:
    detections = make({1: [0.5], 2: [0.9, 0.4], 3: []})
    found = detections.of_images([3, 2])
    assert found.image_ids.tolist() == [3, 2]
    assert found.ids.tolist() == [2, 2]
    np.testing.assert_allclose(found.scores, [0.9, 0.4])
    with pytest.raises(UserError, match="missing"):
        detections.of_images([1, 8])


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="boxes"):
        Detections(np.array([1]), np.zeros(2, np.int64), np.zeros((1, 4)), np.zeros(2), np.zeros(2, np.int64))


def test_only_refinements_that_differ_in_the_gate_are_reused(tmp_path: Path) -> None:
    wanted = {"stage": "refinement", "version": 1, "predictions": "p", "gate": "new", "average": "probabilities"}
    for name, change in (("gate", {"gate": "old"}), ("none", {"gate": None}), ("average", {"average": "logits"})):
        make({1: [0.5]}).save(tmp_path / name, [SPEC, {**wanted, **change}])
    (tmp_path / "damaged").write_text("not an npz file")
    assert len(load_reusable([tmp_path / n for n in ("gate", "gone", "damaged", "none", "average")], wanted)) == 2


def test_versions_of_all_shards_are_collected(tmp_path: Path) -> None:
    make({1: [0.5]}).save(tmp_path / "a", [SPEC], {"torch": "2.1", "numpy": "2"})
    make({2: [0.5]}).save(tmp_path / "b", [SPEC], {"torch": "2.0", "numpy": "2"})
    assert read_libraries([tmp_path / "a", tmp_path / "b"]) == {"numpy": ["2"], "torch": ["2.0", "2.1"]}
    assert load_shards([tmp_path / "a", tmp_path / "b"])[1] == [SPEC], "they don't keep shards apart"


def with_doubt(detections: Detections, values: list[list[float]]) -> Detections:
    return dataclasses.replace(detections, disagreement=np.array(values, np.float32))


def test_disagreement_goes_with_its_detections_through_files_and_merging(tmp_path: Path) -> None:
    a, b = make({5: [0.9, 0.5], 1: [0.3]}), make({2: [0.8]})
    doubt = with_doubt(a, [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    doubt.save(tmp_path / "a.npz", [SPEC])
    b.save(tmp_path / "b.npz", [SPEC])
    assert equal(Detections.load(tmp_path / "a.npz"), doubt)
    # A file from before it was computed has none, and is read as one that doesn't say.
    with np.load(tmp_path / "b.npz") as arrays:
        assert "disagreement" not in arrays.files
    merged, _ = load_shards([tmp_path / "a.npz", tmp_path / "b.npz"])
    assert merged.ids.tolist() == [1, 2, 5, 5]
    np.testing.assert_allclose(merged.disagreement, [[0.5, 0.6], [np.nan] * 2, [0.1, 0.2], [0.3, 0.4]])
    np.testing.assert_allclose(doubt.select(doubt.scores > 0.4).disagreement, [[0.1, 0.2], [0.3, 0.4]])
    np.testing.assert_allclose(doubt.of_images([1]).disagreement, [[0.5, 0.6]])
    assert doubt.with_keypoints(None).disagreement is None
    assert concatenate([b, make({3: [0.1]})]).disagreement is None
    with_doubt(b, [[0.1, 1.5]]).save(tmp_path / "c.npz", [SPEC])
    with pytest.raises(UserError, match=r"c\.npz: not a file of detections \(a disagreement that isn't from 0 to 1"):
        Detections.load(tmp_path / "c.npz")


def test_mean_disagreement_is_over_what_is_kept() -> None:
    doubt = with_doubt(make({1: [0.9, 0.5, 0.4]}), [[0.1, 0.3], [0.2, 0.6], [np.nan, np.nan]])
    assert doubt.mean_disagreement()[:2] == pytest.approx([0.2, 0.4])
    kept = np.array([[True, False], [False, False], [True, True]])
    assert doubt.mean_disagreement(kept)[:2] == pytest.approx([0.1, 0.4])
    assert np.isnan(doubt.mean_disagreement(kept)[2])
    assert make({1: [0.9]}).mean_disagreement() is None
