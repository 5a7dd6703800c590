"""What a reader of the Markdown pages meets: lines that read, and links that lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
# Written by `make docs`; its tables can't be wrapped, and its prose comes from them.
GENERATED = {"config/README.md"}
PAGES = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "config/*.md", "envs/*.md", "profiles/**/*.md", "benchmarks/*.md")
    for path in REPOSITORY.glob(pattern)
)
WIDTH = 100


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines that are neither code nor of a table."""
    fenced = False
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(r"\s*(```|~~~)", line):
            fenced = not fenced
        elif not fenced and not line.lstrip().startswith("|"):
            yield number, line


def anchors(text: str) -> set[str]:
    """The names that headings have on a page, as GitHub makes them."""
    headings = [line.lstrip("#") for _, line in prose(text) if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def test_there_are_pages() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/method.md", *GENERATED} <= set(PAGES)


@pytest.mark.parametrize("page", sorted(set(PAGES) - GENERATED))
def test_prose_has_lines_that_read(page: str) -> None:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    # A word that is too long by itself (an address) has no place to break.
    long = [n for n, line in prose(text) if len(line) > WIDTH and max(map(len, line.split())) < WIDTH - 20]
    assert not long, f"{page}: lines of more than {WIDTH} characters"
    # "1,600 + 1,600", wrapped before the sign, becomes a list; lists here begin with "-".
    signs = [n for n, line in prose(text) if re.match(r"\s*\+ ", line)]
    assert not signs, f"{page}: lines that begin with a plus sign: {signs}"


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page: str) -> None:
    path = REPOSITORY / page
    text = "\n".join(line for _, line in prose(path.read_text(encoding="utf-8")))
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", text)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), f"{page}: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page}: {link}"


def test_the_checks_see_what_they_look_for() -> None:
    text = "# Two words, one `link`\n\nshort\n```\n" + "x " * 80 + "\n```\n| " + "y " * 80 + "|\n" + "z " * 80
    assert [number for number, line in prose(text) if len(line) > WIDTH] == [8]
    assert anchors(text) == {"two-words-one-link"}
