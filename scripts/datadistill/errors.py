"""Bad input ends in one clear sentence, never in a traceback."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable

from datadistill.cpu_time import cpu_seconds, work_ended
from datadistill.warm_start import handed_over

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a write fails with on a full disk, a full quota, and beyond the limit on the size of files (`ulimit -f`)."""


class UserError(Exception):
    """Something a user can put right: the message names the file, the key or the image, and what to do."""


def run_script(main: Callable[[], int | None], *, warm: bool = False) -> None:
    """Call a script's `main` and exit: a `UserError` becomes one sentence on standard error and exit status 2.

    So does what the machine refuses: a file that may not be read or written, and a full disk. `warm`: a process that
    has imported the libraries may do the work, if one waits (warm_start.py); the script itself imports as little as it can.
    """
    if warm and (status := handed_over()) is not None:
        sys.exit(status)
    began = cpu_seconds()
    try:
        status = main() or 0
        if status == 0:
            work_ended(began)
        # Else a full disk below the log would be found while Python ends, where nothing can be said of it.
        sys.stdout.flush()
    except UserError as error:
        status = _tell(str(error))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        status = _tell(
            f"{error}: {sys.executable} lacks the package {package!r}; use the project's environment "
            "(`make env`, then `. .venv/bin/activate`), or add the package to the environment of this rule in envs/"
        )
    except OSError as error:
        if error.errno in DISK_FULL and error.filename is None:
            _discard_output()
            status = _tell(
                f"standard output: {os.strerror(error.errno)}; free some space below the log and run it again"
            )
        elif error.filename is not None:
            name = os.fsdecode(error.filename)
            status = _tell(f"{name}: {error.strerror}; check this path, its permissions and the disk, and run it again")
        else:
            raise
    sys.exit(status)


def one_line(text: str) -> str:
    """`text` with everything that isn't printable escaped: names of files may hold line breaks and half characters."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _tell(sentence: str) -> int:
    with contextlib.suppress(OSError):
        print(f"error: {one_line(sentence)}", file=sys.stderr, flush=True)
    return 2


def _discard_output() -> None:
    """Let what can't be written go nowhere, so that Python can end."""
    with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
