"""The conda environments hold what the scripts of their rules import, in the versions of the locked pip path."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from datadistill.keys import hints
from datadistill.workflow.statement import ComputeOptions

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = REPOSITORY / "scripts"
ENVIRONMENTS = sorted((REPOSITORY / "envs").glob("*.yaml"))
# What a module is called when it is imported -> the conda package that holds it.
PACKAGE_OF_MODULE = {
    "PIL": "pillow",
    "cv2": "opencv",
    "markdown_it": "markdown-it-py",
    "matplotlib": "matplotlib-base",
    "torch": "pytorch",
    "yaml": "pyyaml",
}
# The conda package -> the distribution of the lock, where they are called differently.
DISTRIBUTION_OF_PACKAGE = {"opencv": "opencv-python-headless", "matplotlib-base": "matplotlib", "pytorch": "torch"}
# Where conda and pip differ on purpose; envs/README.md says why.
OTHER_VERSION = {"detectron2", "pytorch", "torchvision", "python", "pip", "cuda-version"}


def requirements(environment: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The conda packages and the pip packages of an environment file, with their versions."""
    conda, pip = {}, {}
    for entry in yaml.safe_load(environment.read_text(encoding="utf-8"))["dependencies"]:
        if isinstance(entry, str):
            name, version = entry.split("=")[:2]
            conda[name] = version
        else:
            pip |= dict(line.split("==") for line in entry["pip"])
    return conda, pip


def locked_versions() -> dict[str, str]:
    """The versions of the lock, for Python 3.11."""
    text = (REPOSITORY / "envs" / "requirements.txt").read_text(encoding="utf-8")
    lines = re.findall(r"^([\w.-]+)==([^\s;]+)(?: ; (.*))? \\$", text, re.MULTILINE)
    return {name: version for name, version, marker in lines if ">= '3.12'" not in marker}


def rules() -> Iterator[tuple[str, str, list[str]]]:
    """Name, conda environment and scripts of every rule that runs one."""
    for path in sorted((REPOSITORY / "rules").glob("*.smk")):
        for block in re.split(r"\n(?=rule )", path.read_text(encoding="utf-8")):
            scripts = re.findall(r"\$SCRIPTS/(\w+\.py)", block)
            if scripts:
                environment = re.search(r"\n    conda:\n        (.+)\n", block)
                yield block.split("\n")[0], environment[1] if environment else "", scripts


RULES = list(rules())


def files_of(environment: str) -> list[Path]:
    """The files that a rule's `conda:` may name."""
    if environment == "VISION_ENVIRONMENT":
        names = get_args(hints(ComputeOptions)["vision_env"])
        return [REPOSITORY / "envs" / f"{name}.yaml" for name in names]
    return [(REPOSITORY / "rules" / environment.strip('"')).resolve()]


def imported_by(path: Path) -> set[str]:
    """Every module that a file imports when it runs, at its top or in a function, `from a import b` as a and a.b."""
    modules, todo = set(), [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            todo += node.orelse
            continue
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        todo += ast.iter_child_nodes(node)
    return modules


def own_file(module: str) -> Path | None:
    """The file of one of the project's own modules."""
    path = SCRIPTS.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def third_party(script: Path) -> set[str]:
    """The top-level modules of others that a script imports, itself or through the project's library."""
    found, seen, todo = set(), set(), [script]
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        if path.parent.name == "tasks":
            # A task's module is imported by its name in the config.
            todo += path.parent.glob("*.py")
        for module in imported_by(path):
            top = module.split(".")[0]
            if top in ("datadistill", "rendered"):
                todo += [file for file in [own_file(module)] if file]
            elif top not in sys.stdlib_module_names and top != "__future__":
                found.add(top)
    return found


@pytest.mark.parametrize(("rule", "environment", "scripts"), RULES, ids=[rule[0].removesuffix(":") for rule in RULES])
def test_a_rule_s_environment_declares_what_its_script_imports(rule: str, environment: str, scripts: list[str]) -> None:
    assert environment, f"{rule} runs a script and has no environment"
    modules = set().union(*(third_party(SCRIPTS / script) for script in scripts))
    needed = {PACKAGE_OF_MODULE.get(module, module) for module in modules}
    for path in files_of(environment):
        assert needed <= set(requirements(path)[0]), path.name


def test_nothing_is_declared_that_no_script_imports() -> None:
    used: dict[Path, set[str]] = {path: set() for path in ENVIRONMENTS}
    for _, environment, scripts in RULES:
        for path in files_of(environment):
            for script in scripts:
                used[path] |= {PACKAGE_OF_MODULE.get(module, module) for module in third_party(SCRIPTS / script)}
    # detectron2 imports pkg_resources, which later setuptools lack, and reads images with Pillow, whose version is part of
    # a result; cuda-version chooses among builds.
    assert {path.name: set(requirements(path)[0]) - used[path] - {"python"} for path in ENVIRONMENTS} == {
        "data.yaml": set(),
        "report.yaml": set(),
        "vision-cpu.yaml": {"pillow", "pip", "setuptools"},
        "vision-cuda.yaml": {"pillow", "pip", "setuptools", "cuda-version"},
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_versions_are_exact_and_those_of_the_lock(environment: Path) -> None:
    content: dict[str, Any] = yaml.safe_load(environment.read_text(encoding="utf-8"))
    assert set(content) == {"channels", "dependencies"}
    assert content["channels"] == ["conda-forge"]
    conda, pip = requirements(environment)
    assert conda["python"] == "3.11"
    locked = locked_versions()
    different = {}
    for name, version in {**conda, **pip}.items():
        assert re.fullmatch(r"\d+(\.\d+)+", version), f"{name} has no exact version"
        ours = locked.get(DISTRIBUTION_OF_PACKAGE.get(name, name))
        # opencv's wheel counts its builds in a fourth number.
        if name not in OTHER_VERSION and (ours != version and (name != "opencv" or not ours.startswith(f"{version}."))):
            different[name] = (version, ours)
    assert not different, "conda and the lock (envs/requirements.txt) differ"


def test_the_two_forms_of_vision_differ_in_cuda_alone() -> None:
    cpu, cuda = (REPOSITORY / "envs" / f"vision-{form}.yaml" for form in ("cpu", "cuda"))
    assert {**requirements(cpu)[0], "cuda-version": "12.9"} == requirements(cuda)[0]
    assert "pytorch=2.10.0=cpu*" in cpu.read_text(encoding="utf-8")
    assert "pytorch=2.10.0=cuda*" in cuda.read_text(encoding="utf-8")
