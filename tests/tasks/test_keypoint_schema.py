"""Pairs and sigmas of any schema: where they are stated, what they default to, and what is refused before any training."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from coco_samples import PERSON

from datadistill.data.coco import check_coco
from datadistill.errors import UserError
from datadistill.tasks.keypoint_schema import DEFAULT_SIGMA, describe, flip_pairs, same_schema, sigmas
from datadistill.tasks.metrics import COCO_KEYPOINTS, COCO_SIGMAS

FISH = {"id": 3, "name": "fish", "keypoints": ["snout", "LFin", "RFin", "gill a", "gill b"]}
CARP = {"id": 4, "name": "carp", "keypoints": FISH["keypoints"]}


def cleaned(*categories: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    """The categories of a split that is made of a file with these."""
    count = len(categories[0]["keypoints"])
    annotation = {"id": 1, "image_id": 1, "category_id": categories[0]["id"], "bbox": [1, 1, 9, 9]}
    annotation |= {"keypoints": [2, 2, 2] * count, "num_keypoints": None}
    images = [{"id": 1, "file_name": "1.jpg", "width": 20, "height": 20}]
    data = {"images": images, "annotations": [annotation], "categories": copy.deepcopy(list(categories))}
    return check_coco(data, "a.json", task="keypoints", **more)["categories"]


def test_cocos_categories_stay_as_they_are() -> None:
    """Splits of COCO keep their bytes, whether or not a file says what goes without saying."""
    assert cleaned(PERSON) == [PERSON]
    pairs = [[right, left] for left, right in zip(COCO_KEYPOINTS[1::2], COCO_KEYPOINTS[2::2], strict=True)]
    assert cleaned({**PERSON, "sigmas": list(COCO_SIGMAS), "flip_pairs": pairs}) == [PERSON]
    assert sigmas(PERSON) == COCO_SIGMAS
    assert len(flip_pairs(PERSON).pairs) == 8


def test_a_schema_of_one_s_own_is_written_into_the_split() -> None:
    assert cleaned(FISH) == [{**FISH, "flip_pairs": [["LFin", "RFin"]], "sigmas": [DEFAULT_SIGMA] * 5}]
    assert pytest.approx(sum(COCO_SIGMAS) / 17, abs=5e-4) == DEFAULT_SIGMA


def test_coco_s_keypoints_written_otherwise_have_coco_s_sigmas() -> None:
    titled = {**PERSON, "keypoints": [name.replace("_", " ").title() for name in COCO_KEYPOINTS]}
    assert cleaned(titled)[0]["sigmas"] == list(COCO_SIGMAS)
    animal = {**PERSON, "keypoints": [f"joint {number}" for number in range(17)]}
    assert cleaned(animal)[0]["sigmas"] == [DEFAULT_SIGMA] * 17


@pytest.mark.parametrize(
    ("said", "sigmas_", "pairs"),
    [
        ({"flip_pairs": [["LFin", "RFin"], ["gill a", "gill b"]]}, [0.067] * 5, ((1, 2), (3, 4))),
        ({"flip_pairs": [[1, 2], [3, 4]], "sigmas": [0.1, 0.2, 0.2, 0.3, 0.3]}, [0.1, 0.2, 0.2, 0.3, 0.3], ((1, 2), (3, 4))),
        ({"keypoint_oks_sigmas": [0.1] * 5}, [0.1] * 5, ((1, 2),)),
        ({"flip_pairs": [], "sigmas": 0.05}, [0.05] * 5, ()),
    ],
)  # fmt: skip
def test_what_a_file_says_is_honoured(said: dict[str, Any], sigmas_: list[float], pairs: tuple[Any, ...]) -> None:
    made = cleaned({**FISH, **said})[0]
    assert made["sigmas"] == sigmas_
    assert flip_pairs(made).pairs == pairs
    assert made.keys() == {*FISH, "flip_pairs", "sigmas"}


def test_the_config_goes_before_the_file() -> None:
    said = {**FISH, "flip_pairs": [], "keypoint_oks_sigmas": [0.1] * 5}
    by_name = {name: 0.01 * (place + 1) for place, name in enumerate(FISH["keypoints"])}
    made = cleaned(said, stated={"flip_pairs": [["gill a", "gill b"]], "sigmas": by_name})[0]
    assert made["flip_pairs"] == [["gill a", "gill b"]]
    assert made["sigmas"] == list(by_name.values())


@pytest.mark.parametrize(
    ("category", "message"),
    [
        ({**FISH, "keypoints": ["snout", "LFin", "tail"]}, "'LFin' says a side, but no keypoint is its partner; .* `flip_pairs`"),
        ({**FISH, "flip_pairs": [["LFin", "RFim"]]}, "flip_pairs: there is no keypoint 'RFim'"),
        ({**FISH, "flip_pairs": [["LFin", "RFin"], ["gill a", "RFin"]]}, "flip_pairs: 'RFin' is in two pairs"),
        ({**FISH, "flip_pairs": [["LFin", "LFin"]]}, "flip_pairs: .* is not a pair of two keypoints"),
        ({**FISH, "flip_pairs": [[4, 5]]}, "flip_pairs: 5 is none of its 5 keypoints; .* counted from 0"),
        ({**FISH, "flip_pairs": [[True, 2]]}, "flip_pairs: True is none of its"),
        ({**FISH, "flip_pairs": "LFin"}, "flip_pairs: 'LFin' is no list of pairs"),
        ({**FISH, "flip_pairs": [1, 2]}, "flip_pairs: .* is no list of pairs"),
        ({**FISH, "sigmas": [0.1] * 4}, "sigmas: there are 4 for 5 keypoints"),
        ({**FISH, "sigmas": [0.1] * 4 + [None]}, "sigmas: None is none"),
        ({**FISH, "sigmas": [0.1] * 4 + [0]}, "sigmas: 0 is none; a number above 0"),
        ({**FISH, "sigmas": 26}, "sigmas: 26 is none; .* at most 1"),
        ({**FISH, "sigmas": "small"}, "sigmas: 'small' is none"),
        ({**FISH, "sigmas": {"snout": 0.1}}, "sigmas: 'LFin' has none; give each keypoint one"),
        ({**FISH, "sigmas": {"nose": 0.1}}, "sigmas: there is no keypoint 'nose'"),
    ],
)  # fmt: skip
def test_what_is_not_certain_is_refused_when_the_split_is_made(category: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"a.json: category 'fish': {message}") as caught:
        cleaned(category)
    assert "\n" not in str(caught.value)


def test_images_without_annotations_say_nothing_of_keypoints() -> None:
    """A pool takes its categories from the teacher: nothing is asked of its file."""
    odd = {**FISH, "keypoints": ["snout", "LFin"], "flip_pairs": [["LFin", "gone"]]}
    assert cleaned(odd, annotated=False) == [{**FISH, "keypoints": ["snout", "LFin"]}]


def test_categories_of_different_skeletons_are_refused() -> None:
    crab = {"id": 7, "name": "crab", "keypoints": ["left claw", "right claw"]}
    with pytest.raises(UserError, match="'fish' and 'crab' have different keypoints, and a model has one list of them"):
        cleaned(FISH, crab)
    with pytest.raises(UserError, match="'fish' and 'carp' have different flip_pairs"):
        cleaned(FISH, {**CARP, "flip_pairs": []})
    # Sigmas are only for scoring, which looks at one category at a time.
    assert [c["sigmas"][0] for c in cleaned({**FISH, "sigmas": 0.1}, {**CARP, "sigmas": 0.2})] == [0.1, 0.2]


def test_the_same_schema_in_other_words() -> None:
    one, other = cleaned(FISH), cleaned({**FISH, "flip_pairs": [["RFin", "LFin"]], "sigmas": DEFAULT_SIGMA})
    assert same_schema(one, other)
    assert same_schema([FISH], one)
    assert not same_schema(one, cleaned({**FISH, "sigmas": 0.1}))
    assert not same_schema(one, cleaned({**FISH, "flip_pairs": []}))


def test_sides_are_told_by_the_names_else_the_first_of_a_pair_is_left() -> None:
    pairs = flip_pairs({**FISH, "flip_pairs": [["RFin", "LFin"], ["gill b", "gill a"]]})
    assert dict(zip(pairs.names, pairs.sides, strict=True)) == {
        "snout": None, "LFin": "left", "RFin": "right", "gill a": "right", "gill b": "left",
    }  # fmt: skip
    assert flip_pairs({"keypoints": ["wheel_fr", "wheel_fl"]}).sides == ["right", "left"]


def test_a_sentence_says_what_was_understood() -> None:
    assert describe(cleaned({**FISH, "sigmas": 0.1})[0]) == (
        "Keypoints of 'fish': mirrored in pairs: LFin and RFin; not paired: snout, gill a, gill b; sigmas of OKS: 0.1 for all."
    )
