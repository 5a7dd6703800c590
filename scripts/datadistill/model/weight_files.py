"""Where a file of weights lies. Light, so that rules can ask while Snakemake parses."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from datadistill.errors import UserError
from datadistill.files import require_file

PACKAGE = "package:"


def find_weights(path: str | Path) -> Path:
    """The file of a path, or of "package:NAME/FILE", where NAME is an installed Python package (which isn't imported).

    Raises `UserError` when there is no such file or package.
    """
    text = str(path)
    if not text.startswith(PACKAGE):
        if not Path(text).exists():
            raise UserError(f"{text}: no such file of weights; check `weights` in the config, or fetch it first")
        return require_file(text)
    package, _, inside = text.removeprefix(PACKAGE).partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or spec.origin is None:
        raise UserError(
            f"{text}: the Python package {package!r} isn't installed; add it to envs/requirements.in, or give a file"
        )
    folder = Path(spec.origin).parent.resolve()
    file = folder / inside
    if not inside or not file.resolve().is_relative_to(folder):
        raise UserError(f"{text}: a file within the package {package!r} is needed")
    if not file.is_file():
        raise UserError(f"{text}: the package {package!r} has no file {inside!r}")
    return file


def other_weights(origin: str, found: str, known: str, name: str, record: str) -> str:
    """What to say when weights differ from those that models began with."""
    return (
        f"{origin}: SHA-256 is {found}, but models began with {known} as {name}; give other weights a `release` in the config, "
        f"or delete {record}, {name} and those models"
    )
