"""docs/own-data.md, run: its commands, read from the page, on a few of the blood cells' photos at a quarter of their size.

The page's paths lead to a small copy of the data beside a copy of the repository made of links; nothing else is changed but
`ITERATIONS`, which the page itself offers. So a page that went stale fails here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs" / "own-data.md"
CELLS = REPOSITORY.parent / "shared/data/blood-cells"
# Photos of each list: enough for every step to have some.
PHOTOS = {"labelled": 6, "val": 4, "pool": 7}
SHRUNK = 4
NUMBERS = re.compile(r"<(width|height|[xy]m(?:in|ax))>(\d+)<")

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(not CELLS.is_dir(), reason="needs ../shared/data/blood-cells"),
]


def commands() -> list[str]:
    """The page's shell blocks, in order."""
    return re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def few_photos(folder: Path) -> None:
    """The first photos of each list, small, with their annotations and shortened lists."""
    from PIL import Image

    for part in ("JPEGImages", "Annotations"):
        (folder / part).mkdir(parents=True)
    for name, count in PHOTOS.items():
        chosen = (CELLS / f"{name}.txt").read_text().split()[:count]
        (folder / f"{name}.txt").write_text("".join(f"{photo}\n" for photo in chosen))
        for photo in chosen:
            with Image.open(CELLS / "JPEGImages" / f"{photo}.jpg") as image:
                image.reduce(SHRUNK).save(folder / "JPEGImages" / f"{photo}.jpg")
            if name != "pool":
                text = (CELLS / "Annotations" / f"{photo}.xml").read_text()
                (folder / "Annotations" / f"{photo}.xml").write_text(NUMBERS.sub(shrunk, text))


def shrunk(number: re.Match[str]) -> str:
    return f"<{number[1]}>{-(-int(number[2]) // SHRUNK)}<"


def repository(folder: Path) -> None:
    """The repository by links, with an environment that `make` takes for ready."""
    folder.mkdir()
    for entry in REPOSITORY.iterdir():
        if entry.name not in (".git", ".venv", ".snakemake", "results", "data"):
            (folder / entry.name).symlink_to(entry)
    (folder / ".venv").mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != ".ready":
            (folder / ".venv" / entry.name).symlink_to(entry)
    (folder / ".venv/.ready").touch()


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which the whole page was called, and what it printed."""
    place = tmp_path_factory.mktemp("own-data")
    few_photos(place / "shared/data/blood-cells")
    repository(place / "project")
    script = "set -euo pipefail\n" + "\n".join(commands())
    environment = {**os.environ, "ITERATIONS": "4", "CORES": "2", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    for name in ("CONFIG", "MAKEFLAGS", "VIRTUAL_ENV"):
        environment.pop(name, None)
    done = subprocess.run(
        ["bash", "-c", script], cwd=place / "project", env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return place / "project", done.stdout


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def only(pattern: str, place: Path) -> Path:
    (found,) = place.glob(pattern)
    return found


def test_the_page_has_every_step() -> None:
    text = "\n".join(commands())
    steps = (
        "make init",
        "make plan",
        "make run",
        "labels.py page",
        "labels.py export",
        "labels.py import",
        "model.py predict",
    )
    places = [text.index(step) for step in steps]
    assert places == sorted(places)
    assert text.count("make run") == 2


def test_what_the_page_shows_is_what_init_says_and_writes(tmp_path: Path) -> None:
    (tmp_path / "shared").symlink_to(REPOSITORY.parent / "shared")
    (tmp_path / "project").mkdir()
    lists = {name: f"../shared/data/blood-cells/{name}.txt" for name in ("labelled", "val")}
    init = [sys.executable, str(REPOSITORY / "scripts/init.py"), "--labelled", lists["labelled"], "--val", lists["val"]]
    done = subprocess.run(
        [*init, "--pool", "../shared/data/blood-cells/JPEGImages", "--output", "cells.yaml"],
        cwd=tmp_path / "project", env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    page = PAGE.read_text(encoding="utf-8")
    said = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[0]
    written = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[0]
    # How many cores there are is the machine's.
    machine = re.compile(r"^  No GPU here.*\n|^compute.*\n", re.MULTILINE)
    assert machine.sub("", done.stdout) == machine.sub("", said)
    assert machine.sub("", (tmp_path / "project/cells.yaml").read_text(encoding="utf-8")) == machine.sub("", written)


def test_the_pool_leaves_out_what_people_labelled_and_then_what_they_corrected(walked: tuple[Path, str]) -> None:
    place = walked[0]
    pools = {
        run: read(p) for run in ("cells", "cells-2") for p in place.glob(f"results/{run}/labels/*/annotations.json")
    }
    assert len(pools["cells"]["images"]) == PHOTOS["pool"]
    assert len(pools["cells-2"]["images"]) == PHOTOS["pool"] - 4
    corrected = read(place / "data/corrected.json")
    names = {Path(image["file_name"]).name for image in corrected["images"]}
    assert len(names) == 4
    assert not names & {Path(image["file_name"]).name for image in pools["cells-2"]["images"]}


def test_both_rounds_end_in_a_table_of_teacher_and_student(walked: tuple[Path, str]) -> None:
    for run in ("cells", "cells-2"):
        text = (walked[0] / f"results/{run}/tables/results.md").read_text()
        assert "teacher" in text
        assert "student" in text
        assert len(list((walked[0] / f"results/{run}/models").glob("*/model.pth"))) == 2


def test_the_student_predicts(walked: tuple[Path, str]) -> None:
    predicted = read(walked[0] / "predictions/predictions.json")
    assert len(predicted["images"]) == PHOTOS["val"]
    assert len(list((walked[0] / "predictions/pictures").iterdir())) == PHOTOS["val"]
    assert {path.name for path in (walked[0] / "exported").iterdir()} >= {"config.yaml", "model.pth", "categories.json"}


def test_the_page_of_labels_stands_for_itself(walked: tuple[Path, str]) -> None:
    text = (walked[0] / "labels.html").read_text(encoding="utf-8")
    assert text.startswith("<!")
    assert text.count("image/jpeg") == PHOTOS["pool"]
