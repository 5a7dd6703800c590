"""The statement of the config: schema, page and defaults come from it, and the specs are it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datadistill.data.specs import KINDS, RenderedSplit, VideosSplit
from datadistill.errors import UserError
from datadistill.keys import hints, key, read
from datadistill.specs import LabellingOptions, NetworkSpec, TrainingSpec
from datadistill.transforms import TestScale
from datadistill.workflow.config import complete_config
from datadistill.workflow.schema import config_schema
from datadistill.workflow.statement import ComputeOptions, Config


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema of the schema."""
    if isinstance(schema, dict):
        yield schema
        for key in ("properties", "$defs"):
            for child in schema.get(key, {}).values():
                yield from nodes(child)
        yield from nodes(schema.get("items"))
        for branch in schema.get("oneOf", []):
            yield from nodes(branch)


def stated(cls: type, seen: set[type] | None = None) -> Iterator[tuple[type, dataclasses.Field[Any]]]:
    """Every key of the statement, with its class."""
    seen = set() if seen is None else seen
    if cls in seen:
        return
    seen.add(cls)
    for field in dataclasses.fields(cls):
        if field.metadata.get("meaning"):
            yield cls, field
        for part in classes_in(hints(cls)[field.name]):
            yield from stated(part, seen)


def classes_in(hint: Any) -> Iterator[type]:
    if dataclasses.is_dataclass(hint):
        yield from KINDS.values() if hint.__name__ == "SplitSpec" else [hint]  # type: ignore[misc]
    for argument in getattr(hint, "__args__", ()):
        yield from classes_in(argument)


def test_the_schema_is_one() -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(config_schema())
    for node in nodes(config_schema()):
        assert "properties" not in node or node.get("additionalProperties") is False or "kind" in node["properties"]


def test_every_key_of_the_statement_has_a_meaning_a_place_in_the_schema_and_limits_that_bind() -> None:
    known = {name for node in nodes(config_schema()) for name in node.get("properties", {})}
    allowed = {"minimum", "maximum", "above", "below", "min_items", "unique", "min_length", "pattern"}
    found = list(stated(Config))
    assert len(found) > 100
    for cls, field in found:
        assert field.metadata["meaning"].endswith("."), f"{cls.__name__}.{field.name}"
        assert field.name in known
        assert set(field.metadata["limits"]) <= allowed


def test_defaults_filled_in_are_those_of_the_specs(smallest: dict[str, Any]) -> None:
    smallest["splits"].append({"name": "clips", "kind": "videos", "videos": "rendered", "count": 3})
    completed = complete_config(smallest)
    rendered = next(entry for entry in completed["splits"] if entry["kind"] == "rendered")
    for cls, entry in (
        *((LabellingOptions, completed["labelling"]), (ComputeOptions, completed["compute"])),
        *((RenderedSplit, rendered), (VideosSplit, completed["splits"][-1])),
    ):
        given = {name: value for name, value in entry.items() if name != "kind"}
        assert set(given) == {field.name for field in dataclasses.fields(cls) if field.metadata.get("meaning")}
        spec = read(cls, given, "test")
        required = {
            name: getattr(spec, name) for name in ("name", "scene", "images", "videos", "count") if name in given
        }
        changed = {name for name, value in given.items() if getattr(spec, name) != getattr(cls(**required), name)}
        assert changed <= {"size", "seed", "domain", "transforms"}, "what the config itself sets"


def test_an_absent_key_that_means_as_elsewhere_stays_absent(smallest: dict[str, Any]) -> None:
    completed = complete_config(smallest)
    for key_ in ("models", "label_sets", "defaults"):
        assert completed[key_] == smallest[key_]


@dataclasses.dataclass(frozen=True)
class Inner:
    sizes: tuple[int, ...] = key("Sizes.", default=(1, 2))


@dataclasses.dataclass(frozen=True)
class Outer:
    ratio: float = key("A ratio.", default=0.5)
    inner: Inner | None = key("A part.", default=None)
    where: str = key("A path.", default="a/b", path=True)


def test_plain_values_become_what_the_types_say() -> None:
    spec = read(Outer, {"ratio": 1, "inner": {"sizes": [3]}}, "test")
    assert spec == Outer(1.0, Inner((3,)))
    assert isinstance(spec.ratio, float)
    with pytest.raises(UserError, match=r"^test: inner: there is no key 'size'; did you mean 'sizes'\?$"):
        read(Outer, {"inner": {"size": [3]}}, "test")
    for cls in (NetworkSpec, TestScale):
        assert read(cls, {}, "test") == cls()
    with pytest.raises(UserError, match="the key 'iterations' is missing"):
        read(TrainingSpec, {}, "test")


def test_the_page_about_the_keys_is_up_to_date(repository: Path, tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    script = [sys.executable, str(repository / "scripts" / "document_config.py"), "--output", str(page)]
    subprocess.run(script, check=True)
    text = page.read_text(encoding="utf-8")
    committed = (repository / "config" / "README.md").read_text(encoding="utf-8")
    assert committed == text, "run: make docs"
    # The check that `make lint` runs can fail.
    assert subprocess.run([*script, "--check"], check=False).returncode == 0
    page.write_text(text + "x", encoding="utf-8")
    stale = subprocess.run([*script, "--check"], check=False, capture_output=True, text=True)
    assert stale.returncode == 2
    assert "out of date" in stale.stderr


def test_the_page_explains_every_key(repository: Path) -> None:
    page = (repository / "config" / "README.md").read_text(encoding="utf-8")
    keys = {key for node in nodes(config_schema()) for key in node.get("properties", {})}
    missing = {key for key in keys if f"`{key}`" not in page and f"## {key}\n" not in page}
    assert not missing
