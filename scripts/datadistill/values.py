"""What a value read from JSON is. Light: the standard library only."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

MAX_NUMBER = 2**53
"""Up to here every reader of JSON has whole numbers exactly, and numpy's 64 bits hold them."""


def is_integer(value: Any) -> bool:
    """A whole number, not a truth value, that every reader of JSON has exactly."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER


def is_finite(value: Any) -> bool:
    """A number, neither infinite nor NaN nor a truth value, nor larger than any pixel or id could be."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER


def is_plain_text(text: str) -> bool:
    """Whether a name can be written, printed and looked up: no control characters, no halves of characters."""
    return text.isprintable() or not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def infinite_key(value: Any, key: str = "") -> str | None:
    """The key of a number that JSON can't write again (1e999 is read as infinity), anywhere in `value`; else None."""
    if isinstance(value, float):
        return None if math.isfinite(value) else key or "a number"
    entries = (
        value.items() if isinstance(value, Mapping) else ((key, v) for v in value) if isinstance(value, list) else ()
    )
    nested = (infinite_key(inner, str(name)) for name, inner in entries if isinstance(inner, (float, list, Mapping)))
    return next((found for found in nested if found), None)


def excerpt(value: Any, length: int = 80) -> str:
    """A value as Python writes it, cut short: a file may hold anything."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # more digits than Python prints, or deeper than it goes
        text = f"a {type(value).__name__} too large to print"
    return text if len(text) <= length else text[: length - 3] + "..."
