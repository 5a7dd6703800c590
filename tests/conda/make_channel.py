"""A conda channel on disk, whose packages are links to what the project's own environment has installed.

    make_channel.py PYTHON CHANNEL

PYTHON is the interpreter of the environment to offer. Every distribution becomes a package of its own with its own
requirements, so that an environment holds what its file asks for and nothing else: a script that imports more fails, as it would with conda-forge.
"""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

TIME = 1_700_000_000
# What conda-forge calls it, where it isn't what PyPI calls it.
CONDA_NAME = {
    "matplotlib": "matplotlib-base",
    "opencv-python-headless": "opencv",
    "sal-detectron2": "detectron2",
    "torch": "pytorch",
}
# Where the two paths differ on purpose (envs/README.md): the installed files under the version that conda-forge has.
CONDA_VERSION = {"detectron2": "0.6", "pip": "25.3", "pytorch": "2.10.0", "torchvision": "0.25.0", "opencv": "5.0.0"}
# Libraries that torch finds beside itself, a formatter that detectron2 names and never imports, and weights that conda-forge doesn't have.
LEFT_OUT = ("nvidia-", "cuda-", "triton", "black", "efficientnet-lite0")
# What conda-forge's recipe requires beyond the wheel's own list.
ALSO_REQUIRES = {"detectron2": ["fvcore", "iopath", "setuptools"]}
# Runs in the interpreter of the environment: its distributions, what they put into site-packages, and what they require.
DESCRIBE = """
import importlib.metadata, json, re, sys, sysconfig
from packaging.requirements import Requirement
site = sysconfig.get_path("purelib")
name_of = lambda text: re.sub(r"[-_.]+", "-", text).lower()
found = []
for distribution in importlib.metadata.distributions(path=[site]):
    needs = [Requirement(line) for line in distribution.requires or []]
    tops = {file.parts[0] for file in distribution.files or [] if file.parts[0] not in ("..", "__pycache__")}
    found.append({
        "name": name_of(distribution.metadata["Name"]), "version": distribution.version, "entries": sorted(tops),
        "requires": sorted({name_of(r.name) for r in needs if not r.marker or r.marker.evaluate({"extra": ""})}),
    })
print(json.dumps({
    "site": site, "home": sys.base_prefix + "/bin", "version": sys.version.split()[0],
    "executable": sys._base_executable, "distributions": found,
}))
"""


def add_package(
    channel: Path,
    name: str,
    version: str,
    *,
    build: str = "0",
    depends: Iterable[str] = (),
    links: Mapping[str, str] | None = None,
    texts: Mapping[str, str] | None = None,
) -> None:
    """Write one package: links (path in the prefix -> target) and small text files."""
    links, texts = links or {}, texts or {}
    folder = channel / "linux-64"
    folder.mkdir(parents=True, exist_ok=True)
    index = {
        "name": name,
        "version": version,
        "build": build,
        "build_number": 0,
        "depends": list(depends),
        "constrains": [],
        "subdir": "linux-64",
        "timestamp": TIME * 1000,
    }
    paths = [{"_path": path, "path_type": "softlink"} for path in links]
    paths += [{"_path": path, "path_type": "hardlink", "size_in_bytes": len(text)} for path, text in texts.items()]
    about = {
        "info/index.json": json.dumps(index),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}),
        "info/files": "\n".join([*links, *texts]),
    }
    with tarfile.open(folder / f"{name}-{version}-{build}.tar.bz2", "w:bz2") as archive:
        for path, text in {**about, **texts}.items():
            entry = tarfile.TarInfo(path)
            entry.mtime, entry.size = TIME, len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
        for path, target in links.items():
            entry = tarfile.TarInfo(path)
            entry.mtime, entry.type, entry.linkname = TIME, tarfile.SYMTYPE, target
            archive.addfile(entry)


def add_python(channel: Path, facts: Mapping[str, Any]) -> None:
    """A package `python`: links to an interpreter, and the file that makes it take the prefix for its own."""
    short = ".".join(facts["version"].split(".")[:2])
    links = {f"bin/{name}": facts["executable"] for name in ("python", "python3", f"python{short}")}
    settings = f"home = {facts['home']}\ninclude-system-site-packages = false\nversion = {facts['version']}\n"
    add_package(channel, "python", facts["version"], links=links, texts={"pyvenv.cfg": settings})


def add_distributions(channel: Path, facts: Mapping[str, Any]) -> None:
    short = ".".join(facts["version"].split(".")[:2])
    offered = [entry for entry in facts["distributions"] if not entry["name"].startswith(LEFT_OUT)]
    names = {entry["name"]: CONDA_NAME.get(entry["name"], entry["name"]) for entry in offered}
    for entry in offered:
        name = names[entry["name"]]
        links = {f"lib/python{short}/site-packages/{top}": f"{facts['site']}/{top}" for top in entry["entries"]}
        depends = [
            f"python {short}.*",
            *(names[other] for other in entry["requires"] if other in names),
            *ALSO_REQUIRES.get(name, []),
        ]
        version = CONDA_VERSION.get(name, entry["version"])
        # As on conda-forge: a build for CUDA can't be installed where conda sees no GPU.
        builds = {"cpu_0": [], "cuda129_0": ["__cuda", "cuda-version 12.9.*"]} if name == "pytorch" else {"0": []}
        for build, more in builds.items():
            add_package(channel, name, version, build=build, depends=[*depends, *more], links=links)
    add_package(channel, "cuda-version", "12.9")


def main() -> None:
    from rattler.index import index_fs

    python, channel = sys.argv[1], Path(sys.argv[2])
    described = subprocess.run([python, "-c", DESCRIBE], check=True, capture_output=True, text=True).stdout
    facts = json.loads(described)
    add_python(channel, facts)
    add_distributions(channel, facts)
    asyncio.run(index_fs(channel, write_zst=False, write_shards=False, force=True))


if __name__ == "__main__":
    main()
