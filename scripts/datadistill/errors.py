"""Bad input ends in one clear sentence, never in a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable


class UserError(Exception):
    """Something a user can put right: the message names the file, the key or the image, and what to do."""


def run_script(main: Callable[[], int | None]) -> None:
    """Call a script's `main` and exit: a `UserError` becomes one sentence on standard error and exit status 2."""
    try:
        sys.exit(main() or 0)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
