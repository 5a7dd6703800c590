"""What counts as a number in JSON that others wrote."""

from __future__ import annotations

import math
from typing import Any


def is_integer(value: Any) -> bool:
    """A whole number, and not true or false."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    """A number that is neither infinite nor NaN, and not true or false."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
