"""A key of the config is a field of a frozen dataclass: type, default, limits and meaning are stated there, once.

The schema that checks a config, the page that explains it, the defaults, the specs and what functions take all come from
these classes. Light: the standard library only, so that jobs and Snakemake's parse share them.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import PurePath
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from datadistill.errors import UserError

T = TypeVar("T")
# `$` alone would let a line break through at the end. Names of files are made of these, so they are short.
NAME = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$(?!\n)"


def key(
    meaning: str,
    *,
    default: Any = dataclasses.MISSING,
    identity: bool = True,
    path: bool = False,
    optional: bool = False,
    inherits: bool = False,
    choices: tuple[Any, ...] = (),
    keys: tuple[str, ...] = (),
    **limits: Any,
) -> Any:
    """A field that is a key of the config. Without a `default` it must be given.

    - `identity` false: it changes no result, so it is no part of a result's name.
    - `path`: it says where something lies; of a path the identity holds the last part at most.
    - `optional`: it may be left out, and nothing is filled in for it (None stands for that).
    - `inherits`: what is left out below it means "as elsewhere", so nothing is required there and nothing filled in.
    - `choices`: the values that it may have, where its type doesn't say; `keys`: those of a mapping.
    - `limits`: `minimum`, `maximum`, `above`, `below` (of each number), `min_items`, `unique`, `min_length`, `pattern`.
    """
    metadata = {"meaning": meaning, "identity": identity, "path": path, "optional": optional, "inherits": inherits}
    metadata |= {"choices": choices, "keys": keys, "limits": limits}
    return dataclasses.field(default=None if optional else default, metadata=metadata)


@cache
def hints(cls: type) -> Mapping[str, Any]:
    """The types of a dataclass' fields."""
    return get_type_hints(cls)


def required(cls: type) -> list[str]:
    """Names of the fields without a default."""
    return [field.name for field in dataclasses.fields(cls) if field.default is dataclasses.MISSING]


def read(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """A dataclass from plain JSON values: lists become tuples, mappings dataclasses, whole numbers floats where the type says so.

    Raises `UserError`, beginning with `where`, for a key that is missing or unknown (with the nearest known one).
    """
    known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise UserError(f"{where}: there is no key {name!r}{did_you_mean(name, known)}")
    for name in required(cls):
        if name not in values:
            raise UserError(f"{where}: the key {name!r} is missing")
    types_ = hints(cls)
    return cls(**{name: _convert(types_[name], value, f"{where}: {name}") for name, value in values.items()})


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'images'?`, or nothing when no known word is near."""
    near = difflib.get_close_matches(str(word), list(known), 1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def _convert(hint: Any, value: Any, where: str) -> Any:
    if value is None:
        return None
    options = [option for option in alternatives(hint) if option is not type(None)]
    if isinstance(value, Mapping):
        fitting = [option for option in options if dataclasses.is_dataclass(option)]
        return read(fitting[0], value, where) if fitting else value  # type: ignore[arg-type]
    if isinstance(value, list | tuple):
        fitting = [option for option in options if get_origin(option) is tuple]
        return tuple(_convert(get_args(fitting[0])[0], item, where) for item in value) if fitting else value
    whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if whole and float in options and int not in options else value


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The members of a union, or the type itself."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def identity(spec: Any) -> dict[str, Any]:
    """The values that fix a result, as plain JSON values; of a path its last part."""
    return {
        field.name: (_last_part if field.metadata.get("path") else plain)(getattr(spec, field.name))
        for field in dataclasses.fields(spec)
        if field.metadata.get("identity", True)
    }


def _last_part(value: Any) -> Any:
    if value is None:
        return None
    return PurePath(value).name if isinstance(value, str) else [PurePath(path).name for path in value]


def plain(value: Any) -> Any:
    """A dataclass, or a value of one, as plain JSON values."""
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value
