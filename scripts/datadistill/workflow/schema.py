"""From the statement of the config to a JSON schema that checks one, and to its defaults."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, get_args, get_origin

from datadistill.data.specs import KINDS, SplitSpec
from datadistill.keys import alternatives, hints, plain, required
from datadistill.workflow.statement import Config

Schema = dict[str, Any]

_WORDS = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
# What limits a number, wherever it stands; what limits a list or a text; each with its name in JSON schema.
_OF_NUMBERS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "above": "exclusiveMinimum",
    "below": "exclusiveMaximum",
}
_OF_LISTS = {"min_items": "minItems", "unique": "uniqueItems"}
_OF_TEXTS = {"min_length": "minLength", "pattern": "pattern"}


@cache
def config_schema() -> Schema:
    """The JSON schema of a config (draft 2020-12). Not to be changed: it is made once."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_object(Config)}


def _object(cls: type, *, inherits: bool = False) -> Schema:
    """The schema of a dataclass; with `inherits` no key is required."""
    if cls is SplitSpec:
        return _any_split()
    needed = [] if inherits else required(cls)
    stated = [field for field in dataclasses.fields(cls) if field.metadata.get("meaning")]
    node: Schema = {
        "type": "object",
        "additionalProperties": False,
        "required": [field.name for field in stated if field.name in needed],
        "properties": {field.name: _key(cls, field) for field in stated},
    }
    if one_of := getattr(cls, "one_of", ()):
        node["oneOf"] = [{"required": [name]} for name in one_of]
    return node


def _any_split() -> Schema:
    """A split: its name, its kind, and the keys of that kind."""
    branches = []
    for kind, cls in KINDS.items():
        node = _object(cls)
        node["required"].remove("name")
        branches.append({**node, "properties": {**node["properties"], "name": {}, "kind": {"const": kind}}})
    name = _key(SplitSpec, next(field for field in dataclasses.fields(SplitSpec) if field.name == "name"))
    kind_key = {"enum": list(KINDS), "description": "Where the images come from."}
    return {
        "type": "object",
        "required": ["name", "kind"],
        "properties": {"name": name, "kind": kind_key},
        "oneOf": branches,
    }


def _key(cls: type, field: dataclasses.Field[Any]) -> Schema:
    """The schema of one key, with its description and default."""
    stated, hint = field.metadata, hints(cls)[field.name]
    node = _value(hint, stated)
    if stated["optional"] and isinstance(node.get("type"), list):
        # Left out, it isn't there; null would say the same twice.
        types = [word for word in node["type"] if word != "null"]
        node["type"] = types[0] if len(types) == 1 else types
    if stated["optional"] and "enum" in node:
        node["enum"] = [choice for choice in node["enum"] if choice is not None]
    unseen = issubclass(cls, SplitSpec) and field.name != "name" and not stated["identity"]
    node["description"] = stated["meaning"] + (" No part of the split's identity." if unseen else "")
    if field.default is not dataclasses.MISSING and not stated["optional"]:
        node["default"] = _default(field)
    return node


def _default(field: dataclasses.Field[Any]) -> Any:
    """A key's default as YAML would give it; what mappings hold is filled in key by key."""
    empty = field.metadata["keys"] or dataclasses.is_dataclass(field.default)
    return {} if empty else plain(field.default)


def _value(hint: Any, stated: Mapping[str, Any]) -> Schema:
    """The schema of a type, within the limits of its key."""
    limits = stated["limits"]
    if stated["keys"]:
        each = get_args(hint)[1]
        node = _object(each) if dataclasses.is_dataclass(each) else _scalars((each,), limits)
        described = {name: {**node, "description": _of_task(each, name)} for name in stated["keys"]}
        return {"type": "object", "additionalProperties": False, "required": [], "properties": described}
    options = alternatives(hint)
    if stated["choices"]:
        return {"enum": list(stated["choices"])}
    literals = [option for option in options if get_origin(option) is Literal]
    if literals:
        return {"enum": [*get_args(literals[0]), *([None] if type(None) in options else [])]}
    if dataclasses.is_dataclass(options[0]):
        return _object(options[0], inherits=stated["inherits"])  # type: ignore[arg-type]
    lists = [option for option in options if get_origin(option) is tuple]
    by_name = [option for option in options if get_origin(option) is Mapping]
    node = _scalars([option for option in options if option not in (*lists, *by_name)], limits)
    if by_name:
        each = _scalars(alternatives(get_args(by_name[0])[1]), limits)
        node = {**node, "type": ["object", *_types(node)], "additionalProperties": each}
    if lists:
        members = get_args(lists[0])
        items = _object(members[0]) if dataclasses.is_dataclass(members[0]) else _value(members[0], stated)
        size = {} if members[-1] is Ellipsis else {"minItems": len(members), "maxItems": len(members)}
        of_list = {word: limits[name] for name, word in _OF_LISTS.items() if name in limits}
        words = [word for word in [*_types(node), "array"] if word]
        words.sort(key=lambda word: word == "null")
        node = {**node, "type": words[0] if len(words) == 1 else words, "items": items, **size, **of_list}
    return node


def _of_task(each: Any, task: str) -> str:
    return "What models of this task share." if dataclasses.is_dataclass(each) else f"Split for the task {task}."


def _types(node: Schema) -> list[str]:
    words = node.get("type", [])
    return [words] if isinstance(words, str) else list(words)


def _scalars(types: Any, limits: Mapping[str, Any]) -> Schema:
    """The schema of a number, a text, or one of several such types."""
    words = [_WORDS[option] for option in types]
    node: Schema = {"type": words[0] if len(words) == 1 else words} if words else {}
    if {"integer", "number"} & set(words):
        node |= {word: limits[name] for name, word in _OF_NUMBERS.items() if name in limits}
    if "string" in words:
        node |= {word: limits[name] for name, word in _OF_TEXTS.items() if name in limits}
    return node


def with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a checked config with every default filled in, except where an absent key means "as elsewhere"."""
    filled = copy.deepcopy(dict(config))
    _fill(filled, Config)
    return filled


def _fill(values: dict[str, Any], cls: type) -> None:
    cls = KINDS[values["kind"]] if cls is SplitSpec else cls
    for field in dataclasses.fields(cls):
        stated = field.metadata
        if not stated.get("meaning") or stated["optional"]:
            continue
        if field.name not in values and field.default is not dataclasses.MISSING:
            values[field.name] = copy.deepcopy(_default(field))
        if not stated["inherits"] and field.name in values:
            _fill_below(values[field.name], hints(cls)[field.name])


def _fill_below(value: Any, hint: Any) -> None:
    for option in alternatives(hint):
        if isinstance(value, dict) and dataclasses.is_dataclass(option):
            _fill(value, option)  # type: ignore[arg-type]
        if isinstance(value, list) and get_origin(option) is tuple and dataclasses.is_dataclass(get_args(option)[0]):
            for item in value:
                _fill(item, get_args(option)[0])
