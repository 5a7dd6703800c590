"""What the tests of data share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from data_samples import coco, photo


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images and their annotations."""
    (tmp_path / "images").mkdir()
    for i in range(1, 5):
        photo(i).save(tmp_path / "images" / f"{i}.jpg", quality=90)
    (tmp_path / "a.json").write_text(json.dumps(coco()))
    return tmp_path
