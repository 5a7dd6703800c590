"""From the schema of the config to a page that explains every key: type, default and meaning, section by section."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datadistill.files import canonical_json

Schema = Mapping[str, Any]

# Objects that stand in several places, and have a section of their own.
SHARED = ("network", "training", "test_scale")
# Keys that hold those of a section that is there already, and say so.
ELSEWHERE = ("labels",)


def render_page(head: str, schema: Schema) -> str:
    """The whole page as Markdown: `head`, the plain keys, and a section for each structured one."""
    plain = {key: node for key, node in schema["properties"].items() if not _structured(node)}
    lines = [head.strip(), "", "## The run", "", *_table(plain, schema["required"])]
    for key, node in schema["properties"].items():
        if key not in plain:
            lines += ["", *_section(key, node, key in schema["required"], schema["properties"]["labelling"])]
    for key in SHARED:
        node = schema["properties"]["models"]["items"]["properties"][key]
        lines += ["", f"## {key}", "", f"Stands under `defaults` and in `models`. {node['description']}", ""]
        lines += _table(node["properties"], node.get("required", []))
    return "\n".join(lines).rstrip() + "\n"


def _structured(node: Schema) -> bool:
    """Whether a key holds keys of its own, and so gets a section."""
    return "properties" in node or "properties" in node.get("items", {})


def _section(key: str, node: Schema, required: bool, labelling: Schema) -> Iterator[str]:
    is_list = "items" in node
    entry = node["items"] if is_list else node
    yield f"## {key}"
    yield ""
    form = "A list; each entry has the keys below." if is_list else "A mapping of the keys below."
    yield f"{node['description']} {form}{' Required.' if required else ''}"
    branches = [branch for branch in entry.get("oneOf", []) if "properties" in branch]
    properties = dict(entry["properties"])
    yield ""
    if key == "label_sets":
        # Said once, under `labelling`.
        overrides = [name for name in properties if name in labelling["properties"]]
        properties = {name: child for name, child in properties.items() if name not in overrides}
        yield from _table(properties, entry.get("required", []))
        yield ""
        yield f"From [labelling](#labelling), for this label set alone: {', '.join(f'`{name}`' for name in overrides)}."
    else:
        yield from _table(properties, entry.get("required", []))
    for branch in branches:
        kind = branch["properties"]["kind"]["const"]
        own = {name: child for name, child in branch["properties"].items() if name not in properties}
        yield from ["", f"### {key} of kind `{kind}`", ""]
        yield from _table(own, branch.get("required", []))
        yield from _nested(f"{key} of kind `{kind}`", own)
    yield from _nested(key, properties)


def _nested(parent: str, properties: Schema) -> Iterator[str]:
    """A table for each key that holds keys of its own; keys that hold the same ones share a table."""
    shared: dict[str, tuple[list[str], Schema]] = {}
    for name, child in properties.items():
        node = child.get("items", child)
        if "properties" in node and name not in (*SHARED, *ELSEWHERE):
            shared.setdefault(canonical_json(node["properties"]), ([], node))[0].append(name)
    for names, node in shared.values():
        yield from ["", f"### {parent}: {', '.join(names)}", ""]
        yield from _table(node["properties"], node.get("required", []))
        if "oneOf" in node:
            keys = [f"`{branch['required'][0]}`" for branch in node["oneOf"]]
            yield from ["", f"Exactly one of {' and '.join(keys)} is needed."]


def _table(properties: Schema, required: Sequence[str]) -> Iterator[str]:
    rows = [("key", "value", "default", "meaning")]
    # What must be given comes first.
    for name, node in sorted(properties.items(), key=lambda item: item[0] not in required):
        rows.append((f"`{name}`", kind_of(node), _default(name, node, required), _cell(node["description"])))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)]
        yield f"| {' | '.join(cells)} |"
        if number == 0:
            yield f"| {' | '.join('-' * width for width in [*widths, len('meaning')])} |"


def _default(name: str, node: Schema, required: Sequence[str]) -> str:
    if name in required:
        return "**required**"
    if "default" not in node or node["default"] in ({}, []) or node["default"] == "":
        return ""
    return f"`{json.dumps(node['default'])}`"


def kind_of(node: Schema) -> str:
    """What a key may hold, in words: `whole number, at least 1`, `list of text`, `a or b`."""
    if "enum" in node:
        choices = [f"`{json.dumps(choice) if choice is None else choice}`" for choice in node["enum"]]
        return " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))
    types = node.get("type", "object")
    names = [types] if isinstance(types, str) else list(types)
    words = [_word(name, node) for name in names if not (name == "integer" and "number" in names)]
    return " or ".join(words) + _bounds(node)


def _word(name: str, node: Schema) -> str:
    if name == "array":
        items = node["items"]
        what = "entries" if "properties" in items else _plural(kind_of(items))
        if "minItems" in items and items["minItems"] == items.get("maxItems") == 2:
            what = f"pairs of {kind_of(items['items'])}"
        return (
            f"list of {node['minItems']} {what}"
            if node.get("minItems", 0) > 1 and node["minItems"] == node.get("maxItems")
            else f"list of {what}"
        )
    if name == "object" and isinstance(node.get("additionalProperties"), dict):
        return f"{node['additionalProperties']['type']} by name"
    return {
        "string": "text", "integer": "whole number", "number": "number",
        "boolean": "`true` or `false`", "null": "`null`", "object": "keys",
    }[name]  # fmt: skip


def _plural(words: str) -> str:
    return (
        words.replace("whole number", "whole numbers")
        if words.startswith("whole number")
        else words.replace("number", "numbers", 1)
    )


def _bounds(node: Schema) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f", {low} to {high}"
    parts = [
        text
        for value, text in (
            (low, f"at least {low}"),
            (above, f"above {above}"),
            (high, f"at most {high}"),
            (below, f"below {below}"),
        )
        if value is not None
    ]
    return f", {' and '.join(parts)}" if parts else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
