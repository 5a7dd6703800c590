"""Which keypoints change places in a mirrored image: from a list of pairs, or from the names, in all common styles.

A wrong pair trains a wrong model that looks right, so nothing is guessed in silence: `describe` says what was found, a name
that says a side and has no partner is refused, and so is a name with two possible partners. Light: no numpy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from datadistill.errors import UserError

_OTHER_SIDE = {"left": "right", "l": "r", "lt": "rt", "lft": "rgt"}
_OTHER_SIDE |= {right: left for left, right in _OTHER_SIDE.items()}
_TOKEN = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_A-Za-z]+")
"""Words of a name: split at separators, at digits, and where small letters meet capitals (`LShoulder`, `eyeLeft`)."""

Words = tuple[str, ...]


@dataclass(frozen=True)
class FlipPairs:
    """Pairs of indices into `names` that change places in a mirrored image; all others stay."""

    names: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]

    @property
    def permutation(self) -> list[int]:
        """For each keypoint of a mirrored instance, the index of the original keypoint."""
        order = list(range(len(self.names)))
        for a, b in self.pairs:
            order[a], order[b] = b, a
        return order

    @property
    def sides(self) -> list[str | None]:
        """For each keypoint "left" or "right" if it is in a pair, else None. Where names don't say, the first of a pair is left."""
        found: list[str | None] = [None] * len(self.names)
        for a, b in self.pairs:
            left, right = (b, a) if _is_left_of(words(self.names[b]), words(self.names[a])) else (a, b)
            found[left], found[right] = "left", "right"
        return found

    def describe(self) -> str:
        """One sentence: `mirrored in pairs: left_eye and right_eye; not paired: nose`."""
        paired = {index for pair in self.pairs for index in pair}
        pairs = ", ".join(f"{self.names[a]} and {self.names[b]}" for a, b in self.pairs) or "none"
        rest = ", ".join(name for index, name in enumerate(self.names) if index not in paired) or "none"
        return f"mirrored in pairs: {pairs}; not paired: {rest}"


def find_pairs(
    names: Sequence[str], given: Iterable[Sequence[str]] | None = None, where: str = "keypoints"
) -> FlipPairs:
    """The pairs of a category's keypoints.

    - `names`: the keypoints of the category, in order.
    - `given`: pairs of names, which then are all there are (an empty list: none); `None` finds them from the names:
      `left_eye`, `left eye`, `left-eye`, `leftEye`, `eye_left`, `Left_eye`, `LEye`, `l_eye`, `eye.L`, `lefteye`,
      `leye`, `eye_lt`, `wheel_fl` and the like with their right partners.
    - `where`: what an error names.

    Raises `UserError` for repeated names, pairs that don't fit the names, a name that says a side and has no partner,
    and one with two possible partners.
    """
    names = tuple(names)
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{where}: the keypoint {name!r} is there twice; give each a name of its own")
    return FlipPairs(names, _given(names, given, where) if given is not None else _found(names, where))


def _given(names: Words, given: Iterable[Sequence[str]], where: str) -> tuple[tuple[int, int], ...]:
    index = {name: place for place, name in enumerate(names)}
    used: set[str] = set()
    pairs = []
    for pair in given:
        if len(pair) != 2 or pair[0] == pair[1]:
            raise UserError(f"{where}: flip_pairs: {list(pair)!r} is not a pair of two keypoints; write [left, right]")
        for name in pair:
            if name not in index:
                raise UserError(
                    f"{where}: flip_pairs: there is no keypoint {name!r}; the keypoints are {', '.join(names)}"
                )
            if name in used:
                raise UserError(f"{where}: flip_pairs: {name!r} is in two pairs; leave one out")
            used.add(name)
        pairs.append((index[pair[0]], index[pair[1]]))
    return tuple(pairs)


def _found(names: Words, where: str) -> tuple[tuple[int, int], ...]:
    by_words: dict[Words, list[int]] = {}
    for place, name in enumerate(names):
        by_words.setdefault(words(name), []).append(place)
    partner: dict[int, int] = {}
    for place, name in enumerate(names):
        says_side, mirrored = _mirrored(words(name))
        candidates = sorted({other for words in mirrored for other in by_words.get(words, []) if other != place})
        if len(candidates) > 1:
            listed = " or ".join(repr(names[other]) for other in candidates)
            raise UserError(f"{where}: the partner of {name!r} may be {listed}; say which in `flip_pairs`")
        if candidates:
            partner[place] = candidates[0]
        elif says_side:
            raise UserError(
                f"{where}: {name!r} says a side, but no keypoint is its partner; rename one, or list all pairs in "
                "`flip_pairs` (an empty list: none)"
            )
    for place, other in partner.items():
        if partner.get(other) != place:
            raise UserError(
                f"{where}: {names[place]!r} and {names[other]!r} are no clear pair; list all pairs in `flip_pairs`"
            )
    return tuple(sorted((a, b) for a, b in partner.items() if a < b))


def _is_left_of(ours: Words, other: Words) -> bool:
    """Does a name say left where its partner says right?"""
    for left, right in (("left", "right"), ("lft", "rgt"), ("lt", "rt"), ("l", "r")):
        for word, mirrored in zip(ours, other, strict=False):
            if word.startswith(left) and right + word[len(left) :] == mirrored:
                return True
            if word.endswith(left) and word[: -len(left)] + right == mirrored:
                return True
    return False


def words(name: str) -> Words:
    """The words of a name, in small letters: the same for every way of writing it."""
    return tuple(word.lower() for word in _TOKEN.findall(name))


def _mirrored(words: Words) -> tuple[bool, list[Words]]:
    """Whether a name says a side, and the words of the names that could be its mirror image.

    A side that stands as a word of its own is certain. One that is glued to another word (`lefteye`, `leye`, `fl`) is one
    only if the name with the other side is there too: `lip` and `rear` say none.
    """
    swapped = tuple(_OTHER_SIDE.get(word, word) for word in words)
    if swapped != words:
        return True, [swapped]
    found = []
    for place, word in enumerate(words):
        for side, other in _OTHER_SIDE.items():
            if len(side) > 1 and len(side) < 4:
                continue
            if word.startswith(side):
                found.append((*words[:place], other + word[len(side) :], *words[place + 1 :]))
            if word.endswith(side):
                found.append((*words[:place], word[: -len(side)] + other, *words[place + 1 :]))
    return any(word.startswith(("left", "right")) for word in words), found
