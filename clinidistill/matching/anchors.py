"""Where the search for a name begins: its rarest word, and the word beside that."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Collection, Mapping
from itertools import islice
from typing import NamedTuple

from clinidistill.matching.tables import Buffer, packed_numbers, packed_words, unpacked_numbers, unpacked_words

__all__ = ["Anchor", "Shape", "anchored", "pack_anchors", "unpack_anchors"]

Shape = tuple[int, int]
"""How many words of a name stand before its anchor, and how many words it has."""

Shapes = tuple[Shape, ...]


class Anchor(NamedTuple):
    """What names a word leads to.

    Attributes:
        key: number of the name that is this word alone; -1 if there is none.
        after: the word after it → the shapes of names that hold both.
        before: the word before it → the shapes of names that hold both and end with it.
    """

    key: int
    after: Mapping[str, Shapes]
    before: Mapping[str, Shapes]


def anchored(keys: Mapping[str, int]) -> tuple[dict[str, Anchor], frozenset[str]]:
    """The anchors of names, and the words of names that anchor none.

    A name is anchored in its rarest word, so that a text's common words lead nowhere.

    Args:
        keys: words of a name, with one space between → number of the name.
    """
    uses = Counter(word for key in keys for word in key.split(" "))
    cost = {word: count + 1_000_000_000 * _commonness(word) for word, count in uses.items()}
    alone: dict[str, int] = {}
    after: dict[str, dict[str, Shapes]] = {}
    before: dict[str, dict[str, Shapes]] = {}
    made: dict[Shapes, Shapes] = {}  # a million names have few shapes
    for key, number in keys.items():
        words = key.split(" ")
        costs = [*map(cost.__getitem__, words)]
        back = costs.index(min(costs))
        word = words[back]
        if len(words) == 1:
            alone[word] = number
            continue
        beside, near = (before, words[back - 1]) if back + 1 == len(words) else (after, words[back + 1])
        neighbours = beside.setdefault(word, {})
        shapes = neighbours.get(near, ())
        shape = back, len(words)
        if shape not in shapes:
            more = (*shapes, shape)
            neighbours[near] = made.setdefault(more, more)
    anchors = {
        word: Anchor(alone.get(word, -1), after.get(word, _NONE), before.get(word, _NONE))
        for word in dict.fromkeys([*alone, *after, *before])
    }
    return anchors, frozenset(uses.keys() - anchors.keys())


def pack_anchors(anchors: Mapping[str, Anchor]) -> dict[str, bytes]:
    """The anchors as tables, by name."""
    numbers: dict[Shapes, int] = {}
    parts = {
        "anchors": packed_words(anchors),
        "alone": packed_numbers(array("i", (anchor.key for anchor in anchors.values()))),
    }
    for side in ("after", "before"):
        all_neighbours: Collection[Mapping[str, Shapes]] = [getattr(anchor, side) for anchor in anchors.values()]
        parts[side] = packed_words(word for neighbours in all_neighbours for word in neighbours)
        parts[f"{side}_counts"] = packed_numbers(array("I", map(len, all_neighbours)))
        parts[f"{side}_shapes"] = packed_numbers(
            array("I", (numbers.setdefault(s, len(numbers)) for each in all_neighbours for s in each.values()))
        )
    parts["shapes"] = json.dumps(list(numbers)).encode()
    return parts


def unpack_anchors(parts: Mapping[str, Buffer], keys: int) -> dict[str, Anchor]:
    """Inverse of :func:`pack_anchors`.

    Raises:
        ValueError: if the tables do not fit together, or name other than the first `keys` names.
    """
    shapes = [tuple((int(back), int(size)) for back, size in each) for each in json.loads(bytes(parts["shapes"]))]
    words = unpacked_words(parts["anchors"])
    sides: list[list[Mapping[str, Shapes]]] = []
    for side in ("after", "before"):
        pairs = zip(
            unpacked_words(parts[side]),
            map(shapes.__getitem__, unpacked_numbers("I", parts[f"{side}_shapes"])),
            strict=True,
        )
        counts = unpacked_numbers("I", parts[f"{side}_counts"])
        sides.append([dict(islice(pairs, count)) if count else _NONE for count in counts])
        if next(pairs, None) is not None or sum(counts) != sum(map(len, sides[-1])):
            raise ValueError("the tables of neighbours do not fit together")
    alone = unpacked_numbers("i", parts["alone"])
    if alone and not -1 <= min(alone) <= max(alone) < keys:
        raise ValueError("an anchor leads to no name")
    return dict(zip(words, map(Anchor, alone, *sides), strict=True))


def _commonness(word: str) -> int:
    """How often notes have a word, roughly; only where a search begins depends on it."""
    return 3 if word in _MOST_COMMON else 2 if len(word) < _SHORT or word.isdigit() else int(word in _COMMON)


_NONE: Mapping[str, Shapes] = {}
_SHORT = 3
_MOST_COMMON_WORDS = """
a an and as at be by for from had has he her his in is it no not of on or she that the this to was we were with
"""
_MOST_COMMON = frozenset(_MOST_COMMON_WORDS.split())
_COMMON_WORDS = """
about after all and any are back because been before both but can could day days did disease due during each first
for found from had has have her his history into its left less level levels low high more most new normal not now old
one only other our out over pain past patient patients per presented right same second secondary she showed since some
such test than that the their them then there these they this three through time treatment two type under until was
well were when where which while who will with within without year years you your
"""
_COMMON = frozenset(_COMMON_WORDS.split())
