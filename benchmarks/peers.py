"""What others offer for finding a terminology's names in notes, each run as its users run it.

A peer is made of (name, code) pairs. Called with a text it does what is timed; `spans` gives offsets, for recall.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

Named = Sequence[tuple[str, str]]
Spans = set[tuple[int, int]]


class Pyahocorasick:
    """The bare automaton over lower-cased text: finds names inside words, too, and chooses nothing."""

    name = "pyahocorasick, bare"

    def __init__(self, named: Named):
        import ahocorasick

        self.automaton = ahocorasick.Automaton()
        for name, code in named:
            self.automaton.add_word(name.lower(), (code, len(name.lower())))
        self.automaton.make_automaton()

    def __call__(self, text: str) -> list[tuple[int, tuple[str, int]]]:
        return list(self.automaton.iter(text.lower()))

    def spans(self, text: str) -> Spans:
        """What it finds as whole words, the longest of those that overlap: the reference for recall."""
        lowered = text.lower()
        if len(lowered) != len(text):  # its offsets would be wrong
            return set()
        whole = []
        for last, (_, size) in self(text):
            start, end = last + 1 - size, last + 1
            before, after = lowered[start - 1 : start], lowered[end : end + 1]
            if not (before.isalnum() and lowered[start].isalnum()) and not (
                after.isalnum() and lowered[last].isalnum()
            ):
                whole.append((start, end))
        kept: Spans = set()
        taken: set[int] = set()
        for start, end in sorted(whole, key=lambda span: (span[0] - span[1], span)):
            if taken.isdisjoint(range(start, end)):
                taken.update(range(start, end))
                kept.add((start, end))
        return kept


class PhraseMatcher:
    """spaCy's, by lower case, with the tokenizer that it can't do without and the usual choice among overlaps.

    All names share a key, so that it gives no codes; a key for each code would be slower.
    """

    name = "spaCy PhraseMatcher"

    def __init__(self, named: Named):
        import spacy
        from spacy.matcher import PhraseMatcher as Phrases
        from spacy.util import filter_spans

        self.nlp, self.choose = spacy.blank("en"), filter_spans
        self.phrases = Phrases(self.nlp.vocab, attr="LOWER")
        names = iter(named)
        while part := [self.nlp.make_doc(name) for name, _ in islice(names, 10_000)]:  # not a million docs at once
            self.phrases.add("NAME", part)

    def __call__(self, text: str) -> list[Any]:
        found: list[Any] = self.choose(self.phrases(self.nlp.make_doc(text), as_spans=True))
        return found

    def spans(self, text: str) -> Spans:
        return {(span.start_char, span.end_char) for span in self(text)}


class MedSpacy:
    """medspaCy's TargetMatcher, a literal rule for each name: with its tokenizer alone, or in the default pipeline."""

    def __init__(self, named: Named, pipeline: bool = False):
        import medspacy
        from medspacy.target_matcher import TargetRule

        self.name = "medspaCy, default pipeline" if pipeline else "medspaCy TargetMatcher"
        alone = {"medspacy_enable": {"medspacy_tokenizer", "medspacy_target_matcher"}}
        self.nlp = medspacy.load(**({} if pipeline else alone))
        rules = [TargetRule(name, "NAME", metadata={"code": code}) for name, code in named]
        self.nlp.get_pipe("medspacy_target_matcher").add(rules)

    def __call__(self, text: str) -> Iterable[Any]:
        ents: Iterable[Any] = self.nlp(text).ents
        return ents

    def spans(self, text: str) -> Spans:
        return {(span.start_char, span.end_char) for span in self(text)}
