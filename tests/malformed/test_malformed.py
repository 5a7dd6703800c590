"""Malformed inputs, a row each: exit status 2, one sentence that names the file or key, nothing written."""

from __future__ import annotations

from pathlib import Path

import coco_cases
import config_cases
import file_cases
import made_cases
import pytest
from bench import Case, call, check

CASES: list[Case] = [*coco_cases.CASES, *file_cases.CASES, *made_cases.CASES, *config_cases.CASES]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_one_sentence_and_nothing_written(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)


def test_there_are_as_many_as_promised() -> None:
    assert len({case.name for case in CASES}) == len(CASES) > 550


def test_the_sound_inputs_that_the_cases_are_made_of_pass(tmp_path: Path) -> None:
    for number, build in enumerate(
        (coco_cases.of_change(lambda data: None), config_cases.of_change(lambda data: None))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        code, lines = call(("make_split", "plan")[number], build(folder))
        assert (code, lines) == (0, [])
    folder = tmp_path / "made"
    folder.mkdir()
    for script, arguments in made_cases.sound(folder):
        assert call(script, arguments) == (0, []), script
