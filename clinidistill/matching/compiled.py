"""The terms of an automaton as flat tables, which can be written to a file and read back without running anything."""

from __future__ import annotations

import json
import re
import sys
from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from clinidistill.matching.normalize import normalize
from clinidistill.matching.words import word_key

__all__ = ["AMBIGUOUS", "MATCH_CASE", "SYMBOLS", "Compiled", "Shape", "Term", "compile_terms"]

AMBIGUOUS, MATCH_CASE, SYMBOLS = 1, 2, 4

Shape = tuple[int, int]
"""How many words of a name stand before its anchor, and how many words it has."""

_Shaped = dict[str, tuple[Shape, ...]]


@dataclass(frozen=True, slots=True)
class Term:
    """One name to look for.

    Args:
        text: the name as its terminology writes it, or a variant that a rule made of it.
        code: its concept's code.
        match_case: whether only exactly this spelling is meant (abbreviations that are words otherwise).
        ambiguous: whether it means something else just as often, so that a match needs evidence.
        rule: the rule that made the variant; empty for a name of the terminology's own.
    """

    text: str
    code: str
    match_case: bool = False
    ambiguous: bool = False
    rule: str = ""


@dataclass(slots=True)
class Compiled:
    """What :func:`compile_terms` makes.

    Entry e is one term. The entries of key k are ``first[k]`` to ``first[k + 1]``, in order of preference.

    Attributes:
        keys: words of a name, with one space between → number of the key.
        anchors: the rarest word of each key → the shapes of the keys it anchors, but not those of `after` and `before`.
        guarded: anchors that are common or have many shapes, so that the word beside them is looked at first.
        after: a guarded anchor and the word after it → the shapes of the keys that hold both.
        before: the word before a guarded anchor that ends its key, and the anchor → the shapes of such keys.
        others: the words of keys that anchor none.
        first: number of each key's first entry, and of all entries.
        code: for each entry its code's place in `codes`.
        flags: for each entry what has to be checked when it is met.
        rule: for each entry its rule's place in `rules`.
        text_at: where each entry's text begins in `texts`, in bytes, and where the last ends.
        meta: what the maker wants to remember.
    """

    keys: dict[str, int]
    anchors: _Shaped
    guarded: frozenset[str]
    after: _Shaped
    before: _Shaped
    others: frozenset[str]
    first: array[int]
    code: array[int]
    flags: array[int]
    rule: array[int]
    text_at: array[int]
    texts: bytes
    codes: list[str]
    rules: list[str]
    meta: dict[str, Any] = field(default_factory=dict)

    def text(self, entry: int) -> str:
        """The entry's text, as its terminology writes it."""
        return self.texts[self.text_at[entry] : self.text_at[entry + 1]].decode("utf-8", "surrogatepass")

    def pack(self) -> bytes:
        """Everything as bytes: a line of JSON with the sizes, then the tables."""
        number: dict[tuple[Shape, ...], int] = {}
        parts = {
            "keys": _packed(self.keys),
            "guarded": _packed(sorted(self.guarded)),
            "others": _packed(sorted(self.others)),
            "codes": json.dumps(self.codes).encode(),
            "rules": json.dumps(self.rules).encode(),
            "texts": self.texts,
            **{name: _little(getattr(self, name)) for name in _ARRAYS},
        }
        for name in _SHAPED:
            table: _Shaped = getattr(self, name)
            parts[name] = _packed(table)
            parts[f"{name}_shapes"] = _little(
                array("I", (number.setdefault(each, len(number)) for each in table.values()))
            )
        parts["shapes"] = json.dumps(list(number)).encode()
        header = {"meta": self.meta, "sizes": {name: len(part) for name, part in parts.items()}}
        return b"\n".join([json.dumps(header).encode(), b"".join(parts.values())])

    @staticmethod
    def unpack_meta(header: bytes) -> dict[str, Any]:
        """The `meta` of packed tables, from their first line."""
        return dict(json.loads(header)["meta"])

    @classmethod
    def unpack(cls, data: bytes) -> Compiled:
        """Inverse of :meth:`pack`.

        Raises:
            ValueError: if the bytes are no such tables, or tables that do not fit together.
        """
        start = data.index(b"\n") + 1
        header = json.loads(data[: start - 1])
        parts: dict[str, bytes] = {}
        for name, size in header["sizes"].items():
            parts[name] = data[start : start + size]
            start += size
        if start != len(data) or parts.keys() != _PARTS:
            raise ValueError("parts are missing or cut short")
        keys = _unpacked(parts["keys"])
        shapes = [tuple((int(back), int(size)) for back, size in each) for each in json.loads(parts["shapes"])]

        def shaped(name: str) -> _Shaped:
            numbers = _from_little("I", parts[f"{name}_shapes"])
            return dict(zip(_unpacked(parts[name]), map(shapes.__getitem__, numbers), strict=True))

        arrays = {name: _from_little(kind, parts[name]) for name, kind in _ARRAYS.items()}
        compiled = cls(
            dict(zip(keys, range(len(keys)), strict=True)),
            shaped("anchors"),
            frozenset(_unpacked(parts["guarded"])),
            shaped("after"),
            shaped("before"),
            frozenset(_unpacked(parts["others"])),
            **arrays,
            codes=[str(code) for code in json.loads(parts["codes"])],
            rules=[str(rule) for rule in json.loads(parts["rules"])],
            texts=parts["texts"],
            meta=dict(header["meta"]),
        )
        compiled._check()
        return compiled

    def _check(self) -> None:
        entries = len(self.code)
        fits = (
            len(self.first) == len(self.keys) + 1
            and (self.first[0], self.first[-1]) == (0, entries)
            and all(a < b for a, b in pairwise(self.first))
            and len(self.flags) == len(self.rule) == len(self.text_at) - 1 == entries
            and (not entries or (max(self.code) < len(self.codes) and max(self.rule) < len(self.rules)))
            and self.text_at[-1] == len(self.texts)
        )
        if not fits:
            raise ValueError("the tables do not fit together")


def compile_terms(terms: Iterable[Term], meta: Mapping[str, Any] | None = None) -> Compiled:
    """The tables of `terms`, in which names equal in words share a key.

    Of the entries of a key those that match only their own case come first, then a terminology's own names, then
    variants; otherwise the order is that of `terms`. Names of one character and bare numbers are left out.
    """
    keys: dict[str, int] = {}
    codes: dict[str, int] = {}
    rules: dict[str, int] = {"": 0}
    # Flat columns: a million small objects would take more memory than the tables that they end in.
    key_of, code_of, flags_of, rule_of = array("I"), array("I"), array("B"), array("B")
    texts, ends = bytearray(), array("Q", [0])
    for term in terms:
        key = word_key(term.text)
        if len(key) < 2 or not any(map(str.isalpha, key)):
            continue
        text = term.text.strip()
        symbols = _SYMBOL.search(text if text.isascii() else normalize(text).text) is not None
        flags_of.append(AMBIGUOUS * term.ambiguous | MATCH_CASE * term.match_case | SYMBOLS * symbols)
        key_of.append(keys.setdefault(key, len(keys)))
        code_of.append(codes.setdefault(term.code, len(codes)))
        rule_of.append(rules.setdefault(term.rule, len(rules)))
        texts += text.encode("utf-8", "surrogatepass")
        ends.append(len(texts))
    order = sorted(
        range(len(key_of)), key=lambda at: (key_of[at] << 2) | (not flags_of[at] & MATCH_CASE) << 1 | (rule_of[at] > 0)
    )
    first, text_at, sorted_texts = array("I", [0]), array("Q", [0]), bytearray()
    code, flags, rule = array("I"), array("B"), array("B")
    seen: set[tuple[int, int, bytes]] = set()
    for at, following in zip(order, [*order[1:], None], strict=False):
        text_bytes = bytes(texts[ends[at] : ends[at + 1]])
        same = code_of[at], flags_of[at], text_bytes if flags_of[at] & (MATCH_CASE | SYMBOLS) else b""
        if same not in seen:
            seen.add(same)
            code.append(code_of[at])
            flags.append(flags_of[at])
            rule.append(rule_of[at])
            sorted_texts += text_bytes
            text_at.append(len(sorted_texts))
        if following is None or key_of[following] != key_of[at]:
            first.append(len(code))
            seen.clear()
    del texts, order
    anchoring = _anchored(keys)
    return Compiled(
        keys, *anchoring, first, code, flags, rule, text_at, bytes(sorted_texts), [*codes], [*rules], dict(meta or {})
    )


def _anchored(keys: Collection[str]) -> tuple[_Shaped, frozenset[str], _Shaped, _Shaped, frozenset[str]]:
    """Anchors, guarded ones, after, before, and the words left over; see :class:`Compiled`.

    A key is anchored in its rarest word, so that a text's common words lead nowhere.
    """
    uses = Counter(word for key in keys for word in key.split(" "))
    cost = {word: count + 1_000_000_000 * _commonness(word) for word, count in uses.items()}

    def places() -> Iterator[tuple[list[str], int]]:
        for key in keys:
            words = key.split(" ")
            costs = [*map(cost.__getitem__, words)]
            yield words, costs.index(min(costs))

    plain: defaultdict[str, set[Shape]] = defaultdict(set)
    for words, back in places():
        plain[words[back]].add((back, len(words)))
    guarded = frozenset(word for word, shapes in plain.items() if len(shapes) > _MANY or _commonness(word))
    after: defaultdict[str, set[Shape]] = defaultdict(set)
    before: defaultdict[str, set[Shape]] = defaultdict(set)
    for words, back in places():
        if len(words) > 1 and words[back] in guarded:
            ends = back + 1 == len(words)
            pair = f"{words[back - 1]} {words[back]}" if ends else f"{words[back]} {words[back + 1]}"
            (before if ends else after)[pair].add((back, len(words)))
    for word in guarded:
        plain[word] = {shape for shape in plain[word] if shape[1] == 1}
    made: dict[tuple[Shape, ...], tuple[Shape, ...]] = {}
    anchors, following, preceding = (
        {word: made.setdefault(shapes, shapes) for word, shapes in ((w, tuple(sorted(s))) for w, s in each.items())}
        for each in (plain, after, before)
    )
    return anchors, guarded, following, preceding, frozenset(uses.keys() - anchors.keys())


def _commonness(word: str) -> int:
    """How often notes have a word, roughly; only where a search begins depends on it."""
    return 3 if word in _MOST_COMMON else 2 if len(word) < _SHORT or word.isdigit() else int(word in _COMMON)


def _packed(words: Iterable[str]) -> bytes:
    return "\n".join(words).encode("utf-8", "surrogatepass")


def _unpacked(data: bytes) -> list[str]:
    return data.decode("utf-8", "surrogatepass").split("\n") if data else []


def _little(values: array[int]) -> bytes:
    if sys.byteorder == "big":
        values = array(values.typecode, values)
        values.byteswap()
    return values.tobytes()


def _from_little(kind: str, data: bytes) -> array[int]:
    values: array[int] = array(kind)
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


_SYMBOL = re.compile(r"[^\w\s'\-]|_")
_SHORT = 3
_ARRAYS = {"first": "I", "code": "I", "flags": "B", "rule": "B", "text_at": "Q"}
_PARTS = {
    *("keys", "guarded", "others", "shapes", "codes", "rules", "texts", *_ARRAYS),
    *("anchors", "anchors_shapes", "after", "after_shapes", "before", "before_shapes"),
}
_MANY = 3
_SHAPED = ("anchors", "after", "before")
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
