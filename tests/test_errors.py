"""What a script says when it ends."""

from __future__ import annotations

import sys

import pytest

from datadistill.errors import UserError, run_script


def test_a_missing_package_is_named_with_the_way_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        import no_such_package.inside  # noqa: F401

    with pytest.raises(SystemExit) as end:
        run_script(main)
    assert end.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: No module named 'no_such_package'")
    assert f"{sys.executable} lacks the package 'no_such_package'" in line
    assert ". .venv/bin/activate" in line


def test_what_a_user_can_put_right_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise UserError("splits: two\nlines")

    with pytest.raises(SystemExit) as end:
        run_script(main)
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: splits: two\\nlines\n"


def test_other_errors_keep_their_traceback() -> None:
    def main() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_script(main)
