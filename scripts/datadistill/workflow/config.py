"""Reading and checking a config: unknown or mistyped keys are named, with the nearest valid one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from datadistill.errors import UserError
from datadistill.keys import did_you_mean
from datadistill.workflow.schema import config_schema, with_defaults


def load_config(path: str | Path) -> dict[str, Any]:
    """Read a YAML config, check it and fill in the defaults."""
    try:
        config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such config") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    return complete_config(config)


def complete_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A checked copy of a config with every default filled in. Raises `UserError` with one sentence for the first fault."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    if not isinstance(config, Mapping):
        raise UserError("config: expected a mapping of keys; is the file empty?")
    validator = Draft202012Validator(config_schema())
    errors = sorted(validator.iter_errors(config), key=lambda e: list(map(str, e.absolute_path)))
    if errors:
        # An unknown key or a mistyped choice explains the errors that follow from it.
        leaves = [leaf for error in errors for leaf in _leaves(error)]
        telling = [leaf for kind in ("additionalProperties", "enum") for leaf in leaves if leaf.validator == kind]
        raise UserError(_sentence(telling[0] if telling else best_match(iter(errors)), config))
    return with_defaults(config)


def _leaves(error: Any) -> list[Any]:
    """The errors under a `oneOf`: those of the branch whose `kind` fits, if there is one."""
    if error.validator != "oneOf" or not error.context:
        return [error]
    branches: dict[int, list[Any]] = {}
    for sub in error.context:
        branches.setdefault(sub.relative_schema_path[0], []).append(sub)
    fitting = [subs for subs in branches.values() if not any(sub.validator == "const" for sub in subs)]
    return fitting[0] if len(fitting) == 1 else [error]


def _sentence(error: Any, config: Mapping[str, Any]) -> str:
    for leaf in _leaves(error):
        where = _where(leaf.absolute_path, config)
        if leaf.validator == "additionalProperties":
            known = list(leaf.schema.get("properties", {}))
            unknown = next(key for key in leaf.instance if key not in known)
            hint = did_you_mean(unknown, known) or f"; known keys: {', '.join(known)}"
            return f"config: {where}unknown key {unknown!r}{hint}"
        if leaf.validator == "required":
            missing = [key for key in leaf.validator_value if key not in leaf.instance]
            return f"config: {where}the key {missing[0]!r} is missing; add it (see config/README.md)"
        if leaf.validator == "enum":
            choices = list(map(str, leaf.validator_value))
            hint = did_you_mean(leaf.instance, choices)
            return f"config: {where}{leaf.instance!r} is not one of {', '.join(choices)}{hint}"
        if leaf.validator == "type" and isinstance(leaf.instance, str) and _is_number(leaf.instance):
            # YAML 1.1 reads 1e-4 as text.
            number = yaml.safe_dump(float(leaf.instance)).split()[0]
            return f"config: {where}{leaf.instance!r} is text to YAML, not a number; write {number.removesuffix('.0')}"
        if leaf.validator == "oneOf":
            return f"config: {where}give exactly one of: {' or '.join(_required(branch) for branch in leaf.validator_value)}"
        return f"config: {where}{leaf.message}"
    return f"config: {error.message}"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _required(branch: Mapping[str, Any]) -> str:
    return ", ".join(branch.get("required", ["another kind"]))


def _where(path: Any, config: Mapping[str, Any]) -> str:
    """`models: distilled: training: ` for a path of keys and indices, with list entries called by their names."""
    parts: list[str] = []
    node: Any = config
    for step in path:
        node = node[step]
        if isinstance(step, int):
            parts.append(
                str(node.get("name", f"entry {step + 1}")) if isinstance(node, Mapping) else f"entry {step + 1}"
            )
        else:
            parts.append(str(step))
    return "".join(f"{part}: " for part in parts)
