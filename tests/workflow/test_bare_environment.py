"""Every config is planned where nothing is installed but Snakemake and what that itself requires: users start it from theirs."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from planning import CONFIGS, REPOSITORY

START = """
import sys
sys.path.append(sys.argv.pop(1))
from snakemake.cli import main
main(sys.argv[1:])
"""


def required_by(name: str) -> set[str]:
    """The distributions that one requires, itself and what they require included, on this machine and without extras."""
    found: set[str] = set()
    todo = [name]
    while todo:
        current = canonicalize_name(todo.pop())
        if current not in found:
            found.add(current)
            needs = [Requirement(text) for text in metadata.requires(current) or []]
            todo += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages that holds those alone, as links to the installed ones."""
    site = tmp_path_factory.mktemp("site")
    for name in required_by("snakemake"):
        distribution = metadata.distribution(name)
        for part in {file.parts[0] for file in distribution.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            if not (site / part).is_symlink():
                (site / part).symlink_to(Path(str(distribution.locate_file(part))))
    return site


def run(site: Path, workplace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Snakemake from that folder: `-S` leaves out the packages installed here, `-I` whatever the shell says."""
    line = [sys.executable, "-I", "-S", "-c", START, str(site), *arguments]
    return subprocess.run(line, cwd=workplace, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_config_is_planned_with_nothing_but_snakemake(config: Path, site: Path, tmp_path: Path) -> None:
    done = run(site, tmp_path, "--snakefile", str(REPOSITORY / "Snakefile"), "--dry-run", "--configfile", str(config))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "rule train:" in done.stdout + done.stderr


@pytest.mark.parametrize("module", ["torch", "numpy", "PIL", "pandas", "timm"])
def test_that_environment_lacks_what_is_installed_here(module: str, site: Path, tmp_path: Path) -> None:
    line = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({str(site)!r}); import {module}"]
    done = subprocess.run(line, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert "ModuleNotFoundError" in done.stderr
