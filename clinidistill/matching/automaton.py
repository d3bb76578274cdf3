"""All terms of a terminology found in a note in one pass."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterable, Mapping
from itertools import compress, pairwise
from operator import itemgetter
from typing import NamedTuple

from clinidistill.matching.compiled import AMBIGUOUS, MATCH_CASE, SYMBOLS, Compiled, Term, compile_terms
from clinidistill.matching.normalize import normalize
from clinidistill.matching.words import Words

__all__ = ["Automaton", "Match", "Term", "chosen", "longest"]


class Match(NamedTuple):
    """A term found: half-open offsets into the text as it was given, its concept's code, and how sure it is.

    `entry` is the term's number in its automaton (see :meth:`Automaton.term`); `score` is below 1 where a word was
    misspelled.
    """

    start: int
    end: int
    code: str
    entry: int = -1
    score: float = 1.0


class Automaton:
    """Finds terms as whole words, whatever their case, accents or typography.

    Its alphabet is words, not characters: a text is split into runs of letters and digits, each is looked up
    among the rarest words of all terms, and only where one is met are the words around it compared. Most words of
    a text cost one look into a hash table, however many terms there are, and no time goes into hits inside words.

    A term is met if its words are, with nothing but a space, a hyphen, an apostrophe, or the term's own punctuation
    between them. Where several terms read the same, the first one given wins; one with `match_case` goes before all
    others where its spelling is met.

    >>> automaton = Automaton([Term("ALL", "1", match_case=True), Term("heart failure", "2")])
    >>> [(match.start, match.end, match.code) for match in automaton.find("All had Heart-\\n failure.")]
    [(8, 23, '2')]
    """

    def __init__(self, terms: Iterable[Term] | Compiled):
        self.compiled = terms if isinstance(terms, Compiled) else compile_terms(terms)

    def __len__(self) -> int:
        """Number of distinct names, compared by their words."""
        return len(self.compiled.keys)

    def __contains__(self, word: object) -> bool:
        """Whether a folded word occurs in a term."""
        return word in self.compiled.anchors or word in self.compiled.others

    def find(self, text: str, *, nested: bool = False) -> list[Match]:
        """The matches in `text` by place: of overlapping ones the longest, or all of them where `nested`."""
        return chosen(self.candidates(Words(text)), nested=nested)

    def candidates(self, words: Words, corrections: Mapping[int, tuple[str, float]] | None = None) -> list[Match]:
        """Every match in a text, whatever it overlaps, in no particular order.

        Args:
            words: the text.
            corrections: index of a misspelled word → what is read in its place, and how sure that is, in (0, 1); then
                only matches that take such a word are given, with that score.
        """
        texts = [*words.words, ""]  # a key never holds the empty word at the end
        for index, (word, _) in (corrections or {}).items():
            texts[index] = word
        keys = self.compiled.keys
        places: list[tuple[int, int, int]] = []
        met = [*map(self.compiled.anchors.get, texts)]
        for index, anchor in compress(enumerate(met), met):
            alone, after, before = anchor  # type: ignore[misc]
            if alone >= 0:
                places.append((index, index + 1, alone))
            shapes = after.get(texts[index + 1], ()) if after else ()
            if before:
                shapes += before.get(texts[index - 1], ())
            for back, size in shapes:
                if back <= index:
                    key = keys.get(" ".join(texts[index - back : index - back + size]))
                    if key is not None:
                        places.append((index - back, index - back + size, key))
        if corrections is not None:
            places = [place for place in places if not corrections.keys().isdisjoint(range(*place[:2]))]
        if not places:
            return []
        places.sort()
        found: list[Match] = []
        first, flags, codes, code_of = (
            self.compiled.first,
            self.compiled.flags,
            self.compiled.codes,
            self.compiled.code,
        )
        for (begin, stop, key), (start, end) in zip(places, words.places(places), strict=True):
            entry = first[key]
            if stop - begin == 1 and not flags[entry] & ~AMBIGUOUS and words.is_mapped_one_to_one:  # as most are
                found.append(_new_match(Match, (start, end, codes[code_of[entry]], entry, 1.0)))
            elif (match := self._settled(words, key, (start, end), stop - begin)) is not None:
                found.append(match)
            else:
                continue
            if corrections is not None:
                score = min(corrections[at][1] for at in corrections.keys() & range(begin, stop))
                found[-1] = found[-1]._replace(score=score)
        return found

    def term(self, entry: int) -> Term:
        """The term of that number."""
        compiled = self.compiled
        flags = compiled.flags[entry]
        return Term(
            compiled.text(entry),
            compiled.codes[compiled.code[entry]],
            bool(flags & MATCH_CASE),
            bool(flags & AMBIGUOUS),
            compiled.rules[compiled.rule[entry]],
        )

    def is_ambiguous(self, match: Match) -> bool:
        """Whether the match needs evidence."""
        return bool(self.compiled.flags[match.entry] & AMBIGUOUS)

    def _settled(self, words: Words, key: int, place: tuple[int, int], size: int) -> Match | None:
        """The first entry of a key of `size` words that fits at a place, if one does."""
        compiled = self.compiled
        start, end = place
        close = size == 1 or _APART.search(words.folded, start, end) is None
        for entry in range(compiled.first[key], compiled.first[key + 1]):
            flags = compiled.flags[entry]
            begin, finish = start, end
            if flags & SYMBOLS:
                fit = _fit(normalize(compiled.text(entry)).text.strip(), words.folded, start, end, close)
                if fit is None:
                    continue
                begin, finish = fit
            elif not close:
                continue
            offsets = words.original(begin, finish)
            if offsets is None:
                continue
            if flags & MATCH_CASE and words.text[offsets[0] : offsets[1]] != compiled.text(entry):
                continue
            if size > 1 and _PARAGRAPH.search(words.text, *offsets):
                continue
            return Match(*offsets, compiled.codes[compiled.code[entry]], entry)
        return None


def chosen(matches: Iterable[Match], *, nested: bool) -> list[Match]:
    """The matches by place: all of them where `nested`, else the :func:`longest`."""
    return sorted(matches, key=itemgetter(0, 1)) if nested else longest(matches)


def longest(matches: Iterable[Match]) -> list[Match]:
    """The matches by place, without overlaps: of those that overlap the longest stays, then the leftmost, the surest.

    All are weighed, so that a short one is there where a longer one had to go.
    """
    ordered = sorted(matches, key=itemgetter(0, 1))
    if all(left[1] <= right[0] for left, right in pairwise(ordered)):
        return ordered
    kept: list[Match] = []
    for match in sorted(ordered, key=lambda each: (each.start - each.end, each.start, -each.score)):
        at = bisect(kept, match.start, key=itemgetter(0))
        if (at == 0 or kept[at - 1].end <= match.start) and (at == len(kept) or match.end <= kept[at].start):
            kept.insert(at, match)
    return kept


def _fit(name: str, text: str, start: int, end: int, close: bool) -> tuple[int, int] | None:
    """Where a name with punctuation of its own stands, if the text has that punctuation or does well without.

    Args:
        name: the name, normalised.
        text: the folded text.
        start: where its words begin.
        end: where its words end.
        close: whether the text has nothing but loose separators between them.
    """
    inner = _INNER.search(name)
    assert inner is not None  # a key has letters
    before, after = name[: inner.start()], name[inner.end() :]
    if not close and "".join(text[start:end].lower().split()) != "".join(inner[0].split()):
        return None
    if text.endswith(before, 0, start):
        start -= len(before)
    elif _MEANINGFUL.search(before):
        return None
    if text.startswith(after, end):
        end += len(after)
    elif _MEANINGFUL.search(after):
        return None
    return start, end


_new_match = tuple.__new__  # a NamedTuple's own takes twice the time
_APART = re.compile(r"[^\w\s'`\-]|_|--")
_PARAGRAPH = re.compile(r"\n[^\S\n]*(?:\n|-)")
_INNER = re.compile(r"[^\W_](?:.*[^\W_])?", re.DOTALL)
_MEANINGFUL = re.compile(r"[^\s\w.,:;'\"()\[\]{}\-]")  # CD4+ is not CD4
