from __future__ import annotations

import io
import sys

import pytest

from datadistill.progress import duration, progress


def fake_clock(*steps: float) -> object:
    moments = iter(steps)
    return lambda: next(moments)


def test_lines_tell_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    # The start, after each of four items, and the end.
    clock = fake_clock(0, 5, 10, 12, 20, 20)
    assert list(progress("abcd", unit="image", label="predict", clock=clock)) == list("abcd")
    assert capsys.readouterr().err.splitlines() == [
        "predict: 2/4 images, 5 s/image, 10 s left",
        "predict: 4/4 images, 5 s/image, took 20 s",
    ]


def test_a_generator_of_unknown_length_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(iter([1, 2]), unit="box", clock=fake_clock(0, 0.1, 0.2, 0.5))) == [1, 2]
    assert capsys.readouterr().err == "2 boxes, 4 boxes/s, took 0 s\n"


def test_nothing_to_do_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress([])) == []
    assert capsys.readouterr().err.startswith("0/0 images")


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(progress([1, 2, 3], label="refine")) == [1, 2, 3]
    assert "refine: 100%" in terminal.getvalue()


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")]
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
