"""Reading and checking a config: unknown or mistyped keys are named, with the nearest valid one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from datadistill.errors import UserError
from datadistill.files import read_text
from datadistill.keys import NAME, did_you_mean
from datadistill.values import excerpt, is_plain_text
from datadistill.workflow.own_defaults import with_own_defaults
from datadistill.workflow.rounds import with_rounds
from datadistill.workflow.schema import config_schema, with_defaults
from datadistill.workflow.statement import ADDRESS, DIGEST

LARGEST = 2**31 - 1
"""No number of a config is larger: images, iterations and seeds are far below, and torch's generators end there."""
MOST_VALUES = 100_000
"""No config has more values; anchors within anchors can stand for billions."""

_FORMS = {
    NAME: "can't be a name; letters, digits, - and _ make one, 64 at most, the first a letter or digit",
    ADDRESS: "is no address to fetch from; one begins with http:// or https:// (a file on this machine is given as `path`)",
    DIGEST: "is no digest; 8 to 64 hexadecimal digits make one, in quotes if all are decimal",
}


class _Loader(yaml.SafeLoader):
    """YAML whose mappings have every key once: of two equal ones YAML would take the last without a word."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != "tag:yaml.org,2002:merge":
                if key_node.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key_node.value!r} is given twice", key_node.start_mark
                    )
                seen.add(key_node.value)
        return super().construct_mapping(node, deep=deep)


def read_config(path: str | Path) -> Any:
    """What a YAML file holds. Raises `UserError` with line and column for what isn't YAML, or gives a key twice."""
    if not Path(path).exists():
        raise UserError(f"{path}: no such config")
    return parse_config(read_text(path), str(path))


def parse_config(text: str, path: str) -> Any:
    """`read_config` of a text; `path` stands for it in messages."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UserError(f"{path}: not valid YAML: {error.problem or error.context}{where}") from None
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError, TypeError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise UserError(f"{path}: not valid YAML: {reason}") from None


def command_line_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """What `--config KEY=VALUE` says, with the numbers, truths and nulls inside of lists and mappings as YAML reads them.

    Snakemake hands those over as texts (`seeds=[2]` as `['2']`), and only what stands alone as a number.
    """

    def typed(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: typed(part) for key, part in value.items()}
        if isinstance(value, list):
            return [typed(part) for part in value]
        return parse_config(value, "--config") if isinstance(value, str) else value

    return {key: typed(value) if isinstance(value, Mapping | list) else value for key, value in values.items()}


def load_config(path: str | Path) -> dict[str, Any]:
    """Read a YAML config, check it and fill in the defaults."""
    config = read_config(path)
    with naming(path):
        return complete_config(config)


@contextmanager
def naming(*sources: str | Path) -> Iterator[None]:
    """Name what a config was read from in every `UserError` about it: its keys alone don't tell which file to open."""
    try:
        yield
    except UserError as error:
        # An inner call may have named it.
        if str(error).startswith(tuple(map(str, sources))):
            raise
        raise UserError(f"{', '.join(map(str, sources))}: {error}") from None


def complete_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A checked copy of a config with its preset and every default filled in, and its rounds written out.

    Raises `UserError` with one sentence for the first fault.
    """
    from jsonschema.exceptions import best_match

    if not isinstance(config, Mapping):
        raise UserError("expected a mapping of keys; is the file empty?")
    _check_values(config)
    validator = _validator_class()(config_schema())
    errors = sorted(validator.iter_errors(config), key=lambda e: list(map(str, e.absolute_path)))
    if errors:
        # An unknown key or a mistyped choice explains the errors that follow from it.
        leaves = [leaf for error in errors for leaf in _leaves(error)]
        telling = [leaf for kind in ("additionalProperties", "enum") for leaf in leaves if leaf.validator == kind]
        raise UserError(_sentence(telling[0] if telling else best_match(iter(errors)), config))
    return with_defaults(with_own_defaults(with_rounds(config)))


@cache
def _validator_class() -> Any:
    """jsonschema's validator, to which 4.0 is no whole number: it would be counted with, and printed as 4.0."""
    from jsonschema import Draft202012Validator, validators

    checker = Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    return validators.extend(Draft202012Validator, type_checker=checker)


def _check_values(config: Mapping[str, Any]) -> None:
    """Refuse, wherever it stands, what YAML can say and no key means: infinity, vast numbers, control characters, circles."""
    count = 0
    # Each with the containers that it lies in.
    todo: list[tuple[tuple[Any, ...], Any, tuple[int, ...]]] = [((), config, ())]
    while todo:
        path, value, around = todo.pop()
        count += 1
        if id(value) in around:
            raise UserError(f"{_where(path, config)}refers to itself by an anchor; write out what is meant")
        if count > MOST_VALUES:
            raise UserError(f"more than {MOST_VALUES:,} values; are there anchors within anchors?")
        if isinstance(value, Mapping):
            for key in value:
                if not isinstance(key, str) or not is_plain_text(key):
                    raise UserError(f"{_where(path, config)}the key {excerpt(key)} isn't text; put it in quotes")
            todo += [((*path, key), inner, (*around, id(value))) for key, inner in value.items()]
        elif isinstance(value, list):
            todo += [((*path, number), inner, (*around, id(value))) for number, inner in enumerate(value)]
        elif isinstance(value, str):
            # Captions may have several lines.
            if not is_plain_text(value.replace("\n", " ").replace("\t", " ")):
                raise UserError(f"{_where(path, config)}{excerpt(value)} has characters that can't be printed")
        elif isinstance(value, int | float) and not abs(value) <= LARGEST:
            kind = "is too large" if isinstance(value, int) or math.isfinite(value) else "is no number to count with"
            raise UserError(f"{_where(path, config)}{excerpt(value)} {kind}; {LARGEST:,} is the most")
        elif not isinstance(value, int | float | type(None)):
            raise UserError(f"{_where(path, config)}{excerpt(value)} is a {type(value).__name__} to YAML; use quotes")


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
            return f"{where}unknown key {unknown!r}{hint}"
        if leaf.validator == "required":
            missing = [key for key in leaf.validator_value if key not in leaf.instance]
            return f"{where}the key {missing[0]!r} is missing; add it (see config/README.md)"
        if leaf.validator == "enum":
            choices = list(map(str, leaf.validator_value))
            hint = did_you_mean(leaf.instance, choices)
            return f"{where}{leaf.instance!r} is not one of {', '.join(choices)}{hint}"
        if leaf.validator == "type" and isinstance(leaf.instance, str) and _is_number(leaf.instance):
            # YAML 1.1 reads 1e-4 as text.
            number = yaml.safe_dump(float(leaf.instance)).split()[0]
            return f"{where}{leaf.instance!r} is text to YAML, not a number; write {number.removesuffix('.0')}"
        if leaf.validator == "type" and "integer" in leaf.validator_value and _is_whole(leaf.instance):
            return f"{where}{leaf.instance!r} is not a whole number to YAML; write {int(leaf.instance)}"
        if leaf.validator == "pattern" and leaf.validator_value in _FORMS:
            return f"{where}{excerpt(leaf.instance)} {_FORMS[leaf.validator_value]}"
        if leaf.validator == "uniqueItems":
            return f"{where}an entry is there twice; name each once"
        if leaf.validator == "oneOf":
            return f"{where}give exactly one of: {' or '.join(_required(branch) for branch in leaf.validator_value)}"
        return f"{where}{_short(leaf)}"
    return str(error.message)


def _short(error: Any) -> str:
    """jsonschema's message, without a whole table in it."""
    text = " ".join(str(error.message).split())
    shown = repr(error.instance)
    return text.replace(shown, excerpt(error.instance)) if len(shown) > 80 else text


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


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
