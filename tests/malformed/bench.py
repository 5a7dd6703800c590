"""Calling a script in this process as its rule does, and what a malformed input must end in."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from unittest import mock

from datadistill.errors import run_script

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
PROGRESS = re.compile(r"^(checking|sampling|unpacking|fetching)\b.* \d+/\d+ .*$")


@dataclass(frozen=True)
class Case:
    """A malformed input: what it is, the files it needs, the call, and the words that the sentence must hold.

    `build` makes the files in an empty folder and returns the arguments of the script.
    """

    name: str
    script: str
    build: Callable[[Path], Sequence[str]]
    words: tuple[str, ...]


@cache
def script_module(name: str) -> ModuleType:
    """A script as a module, under a name that hides no other."""
    spec = importlib.util.spec_from_file_location(f"called_{name}", SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(script: str, arguments: Sequence[str]) -> tuple[int, list[str]]:
    """Exit status, and the lines on standard error but for reports of progress."""
    output, errors = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", [script, *arguments]),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        try:
            run_script(script_module(script).main)
        except SystemExit as status:
            code = int(status.code or 0)
    lines = [line for line in errors.getvalue().splitlines() if line.startswith("error: ") or not PROGRESS.match(line)]
    return code, lines


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with its bytes; None for what can't be read as one."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def check(case: Case, folder: Path) -> str:
    """Run a case; it must end in exit status 2 and one sentence with the words, and write nothing. Returns the sentence."""
    arguments = case.build(folder)
    before = contents(folder)
    code, lines = call(case.script, arguments)
    told = "\n".join(lines)
    assert code == 2, f"exit status {code}: {told}"
    assert len(lines) == 1, told
    assert told.startswith("error: "), told
    assert len(told) < 700, told
    assert "Traceback" not in told
    for word in case.words:
        assert word in told, told
    assert contents(folder) == before, "something was written"
    return told
