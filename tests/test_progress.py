from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator

import pytest

from datadistill import progress as module
from datadistill.progress import Progress, progress, read_progress


def test_a_log_gets_one_line_at_the_end_of_what_is_quick(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress("abcd", label="predict")) == list("abcd")
    [line] = capsys.readouterr().err.splitlines()
    found = read_progress(line)
    assert found, line
    assert (found.what, found.done, found.total, found.left, found.loss) == ("predict", 4, 4, "00:00", "")
    assert found.rate.endswith("image/s")


def test_a_log_gets_lines_on_the_way(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 0.0)
    assert list(progress([1, 2, 3], unit="box")) == [1, 2, 3]
    lines = capsys.readouterr().err.splitlines()
    assert [re.match(r"\S+ \S+", line)[0] for line in lines] == ["1/3 boxes", "2/3 boxes", "3/3 boxes"]


def test_a_line_of_training_has_the_same_form() -> None:
    found = read_progress("iteration 40/600  loss 9.899  lr 0.001  5.63 it/s  8% waiting for data  1:39:05 left")
    assert found == Progress("iteration", 40, 600, "5.63 it/s", "1:39:05", "9.899")


def test_a_generator_of_unknown_length_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(iter([1, 2]), unit="box")) == [1, 2]
    line = capsys.readouterr().err
    assert re.fullmatch(r"2 boxes [\d.]+box/s\n", line)
    found = read_progress(line)
    assert found
    assert (found.what, found.done, found.total, found.left) == ("", 2, None, "")


@pytest.mark.parametrize(
    "line",
    [
        "training on 387 labelled (73 without annotations left out); 400 iterations of 4 images on 1 process(es), cpu",
        "/lib/python3.11/site-packages/torch/functional.py:504: UserWarning: torch.meshgrid: in an upcoming release",
        "error: data/train.json: annotation 3/7 has no bbox",
        "",
    ],
)
def test_other_lines_of_a_log_tell_no_progress(line: str) -> None:
    assert read_progress(line) is None


def test_nothing_to_do_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress([])) == []
    assert not capsys.readouterr().err


def test_an_error_on_the_way_comes_through(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        list(progress(broken(), total=3, label="fetch"))
    assert capsys.readouterr().err.startswith("fetch 1/3 images")


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(progress([1, 2, 3], label="refine")) == [1, 2, 3]
    assert "refine: 100%" in terminal.getvalue()
