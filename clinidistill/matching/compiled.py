"""The terms of an automaton as flat tables, which can be written to a file and read back without running anything."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from clinidistill.matching.anchors import Anchor, anchored, pack_anchors, unpack_anchors
from clinidistill.matching.normalize import normalize
from clinidistill.matching.tables import Buffer, packed_numbers, packed_words, unpacked_numbers, unpacked_words
from clinidistill.matching.words import word_key

__all__ = ["AMBIGUOUS", "MATCH_CASE", "SYMBOLS", "Compiled", "Term", "compile_terms"]

AMBIGUOUS, MATCH_CASE, SYMBOLS = 1, 2, 4


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
        anchors: the rarest word of each key → where it leads.
        others: the words of keys that anchor none.
        first: number of each key's first entry, and of all entries.
        code: for each entry its code's place in `codes`.
        flags: for each entry what has to be checked when it is met.
        rule: for each entry its rule's place in `rules`.
        text_at: where each entry's text begins in `texts`, in bytes, and where the last ends.
        meta: what the maker wants to remember.
    """

    keys: dict[str, int]
    anchors: dict[str, Anchor]
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
        parts = {
            "keys": packed_words(self.keys),
            "others": packed_words(sorted(self.others)),
            "codes": json.dumps(self.codes).encode(),
            "rules": json.dumps(self.rules).encode(),
            "texts": self.texts,
            **{name: packed_numbers(getattr(self, name)) for name in _ARRAYS},
            **pack_anchors(self.anchors),
        }
        header = {"meta": self.meta, "sizes": {name: len(part) for name, part in parts.items()}}
        return b"".join([json.dumps(header).encode(), b"\n", *parts.values()])

    @staticmethod
    def unpack_meta(header: bytes) -> dict[str, Any]:
        """The `meta` of packed tables, from their first line."""
        return dict(json.loads(header)["meta"])

    @classmethod
    def unpack(cls, data: Buffer) -> Compiled:
        """Inverse of :meth:`pack`.

        Raises:
            KeyError: if a table is missing.
            ValueError: if the bytes are no such tables, or tables that do not fit together.
        """
        line, _, _ = bytes(data[:_LONGEST_HEADER]).partition(b"\n")
        header = json.loads(line)
        start = len(line) + 1
        parts: dict[str, memoryview] = {}
        view = memoryview(data)  # copies of all of it would be hundreds of megabytes for a million terms
        for name, size in header["sizes"].items():
            parts[name] = view[start : start + size]
            start += size
        if start != len(data):
            raise ValueError("it is cut short, or too long")
        keys = unpacked_words(parts["keys"])
        arrays = {name: unpacked_numbers(kind, parts[name]) for name, kind in _ARRAYS.items()}
        compiled = cls(
            dict(zip(keys, range(len(keys)), strict=True)),
            unpack_anchors(parts, len(keys)),
            frozenset(unpacked_words(parts["others"])),
            **arrays,
            codes=[str(code) for code in json.loads(bytes(parts["codes"]))],
            rules=[str(rule) for rule in json.loads(bytes(parts["rules"]))],
            texts=bytes(parts["texts"]),
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
    anchoring = anchored(keys)
    return Compiled(
        keys, *anchoring, first, code, flags, rule, text_at, bytes(sorted_texts), [*codes], [*rules], dict(meta or {})
    )


_SYMBOL = re.compile(r"[^\w\s'\-]|_")
_ARRAYS = {"first": "I", "code": "I", "flags": "B", "rule": "B", "text_at": "Q"}
_LONGEST_HEADER = 1 << 20
