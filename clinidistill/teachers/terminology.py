"""A terminology as a teacher: every name of a concept that a note holds is marked."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from clinidistill.errors import DataError, OptionError
from clinidistill.matching import Automaton, StopList, Term, folded, normalize, stop_list
from clinidistill.matching.variants import is_abbreviation, plurals, spellings, unqualified
from clinidistill.teachers.base import Teacher
from clinidistill.terminologies import Concept, Terminology
from clinidistill.types import Annotation, Document, Span

__all__ = ["TerminologyTeacher"]


class TerminologyTeacher(Teacher):
    """Marks the names of a terminology's concepts, with their codes: whole words, leftmost and longest first.

    Case, accents, typography and white space do not count (see :func:`~clinidistill.matching.normalize`). A few
    rules, each an option, make it better than a plain dictionary. A name that means several concepts gets the
    code of the first; a concept's own names go before the variants that rules make.

    Args:
        terminology: a terminology, a mapping of its options (``{"format": "obo", "path": ...}``), a path, or a list of
            terms or concepts; see :meth:`Terminology.of`.
        path: a terminology file, in place of `terminology`; its ending tells the format.
        label: what its spans are labelled.
        name: how it is called; by default as the terminology is.
        min_length: names with fewer characters are not looked for.
        stop_terms: names not to look for, in any case and number.
        stop_lists: packaged lists of such names; drop ``"analytes"`` if what was measured is wanted too.
        plurals: whether the plural (or singular) of a name's last word will do.
        spellings: whether British spelling will do for American, and the reverse.
        unqualified: whether a name will do without ", unspecified", "NOS" or a tag such as "(disorder)".
        match_abbreviation_case: whether names of at most four letters, all capitals, are found in capitals only; notes
            often write them small ("copd"), so that by default case does not count for them either.

    Raises:
        OptionError: if not exactly one of `terminology` and `path` is given, it is no terminology, or there is no
            such stop list.

    >>> teacher = TerminologyTeacher(["heart failure", "ALL"], label="disease")
    >>> note = Document("n1", "All had heart failures.")
    >>> [(span.start, span.end, span.code) for span in teacher.label_document(note)]
    [(8, 22, 'heart failure')]
    """

    def __init__(
        self,
        terminology: Terminology | Mapping[str, Any] | str | Path | Iterable[str | Concept] | None = None,
        *,
        path: str | Path | None = None,
        label: str,
        name: str | None = None,
        min_length: int = 3,
        stop_terms: Sequence[str] = (),
        stop_lists: Sequence[StopList] = ("everyday", "analytes"),
        plurals: bool = True,
        spellings: bool = True,
        unqualified: bool = True,
        match_abbreviation_case: bool = False,
    ):
        source = path if terminology is None else terminology
        if source is None or (terminology is not None and path is not None):
            raise OptionError("a terminology teacher takes exactly one of terminology= and path=")
        if isinstance(stop_terms, str) or isinstance(stop_lists, str):
            raise OptionError("stop_terms and stop_lists are lists of strings, not one string")
        for each in stop_lists:
            stop_list(each)
        self.terminology = Terminology.of(source)
        self._label = label
        self._min_length = min_length
        self._stop_terms = tuple(stop_terms)
        self._stop_lists = tuple(stop_lists)
        self._plurals, self._spellings, self._unqualified = plurals, spellings, unqualified
        self._match_abbreviation_case = match_abbreviation_case
        self._built: Automaton | None = None

    @cached_property
    def name(self) -> str:
        return self.options.get("name") or self.terminology.name

    def fingerprint_data(self) -> Mapping[str, Any]:
        """The rules and what the terminology holds; where it lies has no part in it."""
        rules = {key: value for key, value in self.options.items() if key not in ("terminology", "path", "name")}
        stop = sorted({term for each in self._stop_lists for term in stop_list(each)})
        return {**rules, "stop_lists": stop, "terminology": self.terminology.content_hash}

    @property
    def automaton(self) -> Automaton:
        """Its names, compiled at first use.

        Raises:
            DataError: if the terminology cannot be read, or no name of it is left to look for.
        """
        if self._built is None:
            with _BUILDING:
                if self._built is None:
                    self._built = self._build()
        return self._built

    def label_document(self, document: Document) -> Iterator[Span]:
        for start, end, code, *_ in self.automaton.find(document.text):
            yield Span(start, end, self._label, source=self.name, code=code)

    def annotate(self, documents: Iterable[Document]) -> Iterator[Annotation]:
        """As every teacher; but a terminology that cannot be read is an error at once, not one for each document."""
        self.automaton  # noqa: B018
        return super().annotate(documents)

    def _build(self) -> Automaton:
        automaton = Automaton(self._terms())
        if not automaton:
            raise DataError(
                "no names to look for: the terminology is empty, or min_length and stop terms leave none",
                path=self.terminology.options.get("path"),
            )
        return automaton

    def _terms(self) -> Iterator[Term]:
        stop = folded(self._stop_terms).union(*map(stop_list, self._stop_lists))
        own = [
            Term(text, concept.code, self._match_abbreviation_case and is_abbreviation(text))
            for concept in self.terminology
            for text in concept.terms
            if self._is_wanted(text, stop)
        ]
        yield from own
        for term in own:
            for text in self._variants(term.text):
                if self._is_wanted(text, stop):
                    yield replace(term, text=text)

    def _is_wanted(self, term: str, stop: frozenset[str]) -> bool:
        key = normalize(term).text.strip()
        return len(key) >= self._min_length and key not in stop

    def _variants(self, term: str) -> Iterator[str]:
        forms = [term]
        if self._unqualified:
            forms += [variant for form in forms for variant in unqualified(form)]
        if self._spellings:
            forms += [variant for form in forms for variant in spellings(form)]
        if self._plurals:
            forms += [variant for form in forms for variant in plurals(form)]
        yield from forms[1:]


_BUILDING = threading.Lock()
