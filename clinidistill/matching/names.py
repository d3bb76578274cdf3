"""Which names of a concept are looked for, and in which other writings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple, get_args

from clinidistill.matching.compiled import Term
from clinidistill.matching.stop_lists import StopList, folded, stop_list
from clinidistill.matching.variants import (
    adjectives,
    is_abbreviation,
    is_systematic,
    joined,
    natural_order,
    of_phrases,
    plurals,
    spellings,
    synonyms,
    unqualified,
)
from clinidistill.matching.words import word_key
from clinidistill.terminologies import Concept

__all__ = ["Dropped", "NameRules"]


class Dropped(NamedTuple):
    """A name that is not looked for, and why."""

    text: str
    code: str
    reason: str


@dataclass(frozen=True)
class NameRules:
    """From concepts to terms. Each rule can be switched off.

    Args:
        min_length: names with fewer characters need evidence; those of one character are not looked for.
        stop_terms: names not to look for, in any case and number.
        stop_lists: packaged lists: names of ``"everyday"`` and ``"analytes"`` need evidence, since notes mostly mean
            something else by them; those of ``"general"`` are not looked for.
        plurals: whether the plural (or singular) of a name's last word will do.
        spellings: whether British spelling will do for American, and the reverse.
        unqualified: whether a name will do without ", unspecified", "NOS" or a tag such as "(disorder)".
        synonyms: whether a word will do for one that means the same: tumor for neoplasm, kidney for renal.
        word_order: whether "breast cancer" will do for "cancer of breast" and "Cancer, breast", and the reverse.
        joined: whether a prefix may go without its hyphen ("nonsmall" for "non-small").
        adjectives: whether the adjective will do for a name of one word ("ischemic" for "ischemia").
        match_abbreviation_case: whether names of at most four letters, all capitals, are found in capitals only.
    """

    min_length: int = 3
    stop_terms: tuple[str, ...] = ()
    stop_lists: tuple[StopList, ...] = get_args(StopList)
    plurals: bool = True
    spellings: bool = True
    unqualified: bool = True
    synonyms: bool = True
    word_order: bool = True
    joined: bool = True
    adjectives: bool = True
    match_abbreviation_case: bool = False

    def fingerprint_data(self) -> Mapping[str, Any]:
        """The rules, and the stop lists as they stand."""
        rules = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**rules, "stop_lists": {each: sorted(stop_list(each)) for each in self.stop_lists}}

    def terms(self, concepts: Iterable[Concept]) -> Iterator[Term]:
        """The concepts' names that are looked for, each followed by its variants."""
        for concept in concepts:
            for text in concept.terms:
                if self.objection(text):
                    continue
                match_case = self.match_abbreviation_case and is_abbreviation(text)
                yield Term(text, concept.code, match_case, self.is_ambiguous(text))
                for variant, rule in self._variants(text):
                    if not self.objection(variant):
                        exact = match_case or (rule == "plurals" and is_abbreviation(text))  # PASs are no pass
                        yield Term(variant, concept.code, exact, self.is_ambiguous(variant), rule)

    def dropped(self, concepts: Iterable[Concept]) -> Iterator[Dropped]:
        """The concepts' names that are not looked for."""
        for concept in concepts:
            for text in concept.terms:
                if reason := self.objection(text):
                    yield Dropped(text, concept.code, reason)

    def objection(self, text: str) -> str | None:
        """Why a name is not looked for; None if it is."""
        key = word_key(text)
        if len(key) < 2:
            return "of one character"
        if key in self._stop:
            return "a stop term"
        return None

    def is_ambiguous(self, text: str) -> bool:
        """Whether a name means something else in notes just as often, so that it needs evidence."""
        key = word_key(text)
        return len(key) < self.min_length or key in self._ambiguous

    @cached_property
    def _stop(self) -> frozenset[str]:
        return folded(self.stop_terms).union(*(stop_list(each) for each in self.stop_lists if each == "general"))

    @cached_property
    def _ambiguous(self) -> frozenset[str]:
        return frozenset().union(*(stop_list(each) for each in self.stop_lists if each != "general"))

    def _variants(self, text: str) -> Iterator[tuple[str, str]]:
        """Other writings of a name, each with the rule that made it last."""
        if is_systematic(text):
            return
        forms = {text: ""}
        for rule, switched_on, make in (
            ("unqualified", self.unqualified, unqualified),
            ("synonyms", self.synonyms, synonyms),
            ("word_order", self.word_order, natural_order),
            ("joined", self.joined, joined),
            ("spellings", self.spellings, spellings),
            ("plurals", self.plurals, plurals),
            ("adjectives", self.adjectives, adjectives),
            ("word_order", self.word_order, of_phrases),
        ):
            if switched_on:
                for form in [*forms]:
                    for variant in make(form):
                        forms.setdefault(variant, rule)
        del forms[text]
        yield from forms.items()
