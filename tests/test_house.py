"""The house (CONTRIBUTING.md): what may import what, nothing in an `__init__`, no circle, no file too long to read."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = REPOSITORY / "scripts"
PACKAGES = ("datadistill", "rendered")
MODULES = {
    ".".join(path.relative_to(SCRIPTS).with_suffix("").parts): path
    for package in PACKAGES
    for path in sorted((SCRIPTS / package).rglob("*.py"))
}
GROUND = "ground"
# From the lowest: a room imports what lies on lower floors, and itself; rooms of one floor don't know each other.
FLOORS = (
    (GROUND,),
    ("tasks", "rendered"),
    ("data", "model", "label", "evaluate", "exchange"),
    ("train", "report"),
    ("workflow", "deploy"),
    ("start",),
)
# What still breaks a rule: whoever mends it takes it off; nothing is added.
POINTS_UP: set[tuple[str, str]] = set()
LINES = 400
TOO_LONG: set[str] = set()


def imports_of(module: str, path: Path) -> set[str]:
    """The project's modules that a module imports when it runs: at its top or in a function, not for types alone."""
    found = set()
    skipped: set[ast.AST] = set()
    # `walk` comes to a block before what is in it.
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if node in skipped:
            skipped |= set(ast.iter_child_nodes(node))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            skipped |= set(node.body)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: an import relative to the folder"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in names if name in MODULES} or {str(node.module)}
    return {name for name in found if name.split(".")[0] in PACKAGES}


IMPORTS = {module: imports_of(module, path) for module, path in MODULES.items()}


def room(module: str) -> str:
    """The room of a module: a folder of the library, the ground beside the folders, or the package of rendered scenes."""
    parts = module.split(".")
    if parts[0] == "rendered":
        return "rendered"
    return parts[1] if len(parts) > 1 and (SCRIPTS / parts[0] / parts[1]).is_dir() else GROUND


def floor(module: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room(module) in rooms)


def up_or_across(imports: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    """Imports that lead to a room of the same floor or of a higher one."""
    for module, found in imports.items():
        for other in found:
            if room(other) != room(module) and floor(other) >= floor(module):
                yield module, other


def test_every_room_has_a_floor() -> None:
    assert {room(module) for module in MODULES} == {name for rooms in FLOORS for name in rooms}


def test_imports_lead_down() -> None:
    assert set(up_or_across(IMPORTS)) == POINTS_UP


def test_what_points_up_is_seen() -> None:
    imports = {"datadistill.files": {"datadistill.data.coco"}, "datadistill.label.labels": {"datadistill.data.coco"}}
    assert set(up_or_across(imports)) == {
        ("datadistill.files", "datadistill.data.coco"),
        ("datadistill.label.labels", "datadistill.data.coco"),
    }


def test_no_module_imports_itself_by_way_of_others() -> None:
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("module", [module for module in MODULES if module.endswith("__init__")])
def test_packages_import_nothing(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def test_no_script_imports_a_script() -> None:
    scripts = {path.stem: path for path in SCRIPTS.glob("*.py")}
    for path in [*scripts.values(), *MODULES.values()]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [name.name for name in node.names] if isinstance(node, ast.Import) else []
            assert not set(names) & set(scripts), path


def files() -> list[str]:
    """What git holds, and what it would if it were added."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py", "*.smk", "Snakefile"]
    try:
        done = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a git checkout, to know which files are the project's")
    return [name for name in done.stdout.splitlines() if (REPOSITORY / name).is_file()]


def test_no_file_is_longer_than_one_reads() -> None:
    lines = {name: len((REPOSITORY / name).read_text(encoding="utf-8").splitlines()) for name in files()}
    assert lines, "no files found"
    assert {name for name, count in lines.items() if count > LINES} == TOO_LONG


def test_the_map_names_every_room() -> None:
    page = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for rooms in FLOORS:
        for name in rooms:
            assert name == GROUND or f"`{name}/`" in page, name
