"""Whatever is drawn, a config and a COCO file end in a result or in one `UserError`."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import config_cases
import yaml
from coco_cases import SOUND
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datadistill.data.coco import check_coco
from datadistill.errors import UserError, one_line
from datadistill.files import canonical_json, parse_json
from datadistill.workflow.config import complete_config
from datadistill.workflow.experiments import build_experiments

COMMON = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from([2**63, -1, 0, 1, 1e300, "../x", "a\n", "$(touch x)", "\ud800", "keypoints", "pool", "R-50"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything within a value."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, inner in entries for found in [(*path, key), *places(inner, (*path, key))]]


def changed(value: Any, path: tuple[Any, ...], put: Any, *, remove: bool) -> Any:
    """A copy of a value with something else at a path, or nothing."""
    result = copy.deepcopy(value)
    node = result
    for step in path[:-1]:
        node = node[step]
    if remove:
        del node[path[-1]]
    else:
        node[path[-1]] = put
    return result


def ends_well(act: Callable[[], Any]) -> Any:
    """What `act` returns; None after a `UserError`, which must be one sentence that can be printed."""
    try:
        return act()
    except UserError as error:
        text = str(error)
        assert text
        assert len(text) < 2000
        one_line(text).encode()
        return None


@COMMON
@given(st.sampled_from(places(SOUND)), VALUES, st.booleans(), st.sampled_from(["keypoints", "objects"]), st.booleans())
def test_coco_files(path: tuple[Any, ...], put: Any, remove: bool, task: str, annotated: bool) -> None:
    data = changed(SOUND, path, put, remove=remove)
    found = ends_well(lambda: check_coco(data, "a.json", task=task, num_keypoints=3, annotated=annotated))
    if found is not None:
        # It can be written again, which infinity can't.
        canonical_json(found)
        assert found["images"]


@COMMON
@given(VALUES, st.sampled_from(["keypoints", "objects"]))
def test_anything_as_a_coco_file(value: Any, task: str) -> None:
    assert ends_well(lambda: check_coco(value, "a.json", task=task)) is None


@COMMON
@given(st.text(max_size=60) | st.sampled_from(['{"a": NaN}', "[1e999]", "[" * 5000, '{"a": 1, "a": 2}', "9" * 5000]))
def test_anything_as_json(text: str) -> None:
    ends_well(lambda: parse_json(text, "a.json"))


@COMMON
@given(st.sampled_from(places(config_cases.SMALLEST)), VALUES, st.booleans())
def test_configs(path: tuple[Any, ...], put: Any, remove: bool) -> None:
    config = changed(config_cases.SMALLEST, path, put, remove=remove)
    experiments = ends_well(lambda: build_experiments(complete_config(config)))
    if experiments is not None:
        json.dumps([model.id for model in experiments.models.values()], allow_nan=False)
        assert all("/" not in name and "\n" not in name for name in experiments.models)


@COMMON
@given(VALUES)
def test_anything_as_a_config(value: Any) -> None:
    assert ends_well(lambda: complete_config(value)) is None


@COMMON
@given(st.text(alphabet="ab:-[]{}&*!?|>'\"\n \t#1.", max_size=60))
def test_anything_as_yaml(text: str) -> None:
    from datadistill.workflow.config import parse_config

    value = ends_well(lambda: parse_config(text, "a.yaml"))
    if value is not None:
        # What is read is what YAML says.
        assert yaml.safe_dump(value) == yaml.safe_dump(yaml.safe_load(text))
