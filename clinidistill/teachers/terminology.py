"""A terminology as a teacher: every name of a concept that a note holds is marked."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from operator import attrgetter
from pathlib import Path
from typing import Any, get_args

from clinidistill.errors import ClinidistillError, OptionError
from clinidistill.matching import (
    Automaton,
    Dropped,
    Evidence,
    EvidenceKind,
    Explanation,
    Match,
    Matcher,
    NameRules,
    StopList,
    Term,
    Words,
    automaton_of,
    cached_meta,
    find_all,
    find_in_parallel,
    inputs_of,
    known_words_version,
    least_score,
    stop_list,
)
from clinidistill.matching.compiled import Compiled
from clinidistill.teachers.base import Teacher
from clinidistill.terminologies import Concept, Terminology
from clinidistill.types import Annotation, Document, Span

__all__ = ["TerminologyTeacher"]


class TerminologyTeacher(Teacher):
    """Marks the names of a terminology's concepts, with their codes: whole words, of those that overlap the longest.

    Case, accents, typography, hyphens and white space do not count (see :func:`~clinidistill.matching.normalize`). A
    few rules, each an option, make it better than a plain dictionary. A name that means several concepts gets the
    code of the first; a concept's own names go before the variants that rules make.

    Args:
        terminology: a terminology, a mapping of its options (``{"format": "obo", "path": ...}``), a path, or a list of
            terms or concepts; see :meth:`Terminology.of`.
        path: a terminology file, in place of `terminology`; its ending tells the format.
        label: what its spans are labelled.
        name: how it is called; by default as the terminology is.
        min_length: names with fewer characters need evidence; those of one character are not looked for.
        stop_terms: names not to look for, in any case and number.
        stop_lists: packaged lists: names of ``"everyday"`` and ``"analytes"`` need evidence (drop the latter if what
            was measured is wanted too), those of ``"general"`` are not looked for.
        evidence: what makes a mention of a name that needs evidence; see
            :class:`~clinidistill.matching.evidence.Evidence`.
        definitions: whether abbreviations mean what the note says where it defines them.
        fuzzy: whether names are found that have a misspelled word, with a score below 1; a number says how like its
            name a mention has to be, in (0, 1) (True: 0.81). See :class:`~clinidistill.matching.fuzzy.Misspellings`.
        plurals: whether the plural (or singular) of a name's last word will do.
        spellings: whether British spelling will do for American, and the reverse.
        unqualified: whether a name will do without ", unspecified", "NOS" or a tag such as "(disorder)".
        synonyms: whether a word will do for one that means the same: tumor for neoplasm, kidney for renal.
        word_order: whether "breast cancer" will do for "cancer of breast" and "Cancer, breast", and the reverse.
        joined: whether a prefix may go without its hyphen ("nonsmall" for "non-small").
        adjectives: whether the adjective will do for a name of one word ("ischemic" for "ischemia").
        match_abbreviation_case: whether names of at most four letters, all capitals, are found in capitals only; notes
            often write them small ("copd"), so that by default case does not count for them either.
        nested: whether spans may overlap; otherwise, of those that do, the longest stays.
        cache: whether the compiled automaton is kept in the user's cache folder and taken from there the next time.
        workers: how many processes search documents that are annotated together; on Linux they share its memory.

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
        stop_lists: Sequence[StopList] = get_args(StopList),
        evidence: Sequence[EvidenceKind] = get_args(EvidenceKind),
        definitions: bool = True,
        fuzzy: bool | float = False,
        plurals: bool = True,
        spellings: bool = True,
        unqualified: bool = True,
        synonyms: bool = True,
        word_order: bool = True,
        joined: bool = True,
        adjectives: bool = True,
        match_abbreviation_case: bool = False,
        nested: bool = False,
        cache: bool = True,
        workers: int = 1,
    ):
        source = path if terminology is None else terminology
        if source is None or (terminology is not None and path is not None):
            raise OptionError("a terminology teacher takes exactly one of terminology= and path=")
        if any(isinstance(each, str) for each in (stop_terms, stop_lists, evidence)):
            raise OptionError("stop_terms, stop_lists and evidence are lists of strings, not one string")
        if min_length < 0:
            raise OptionError(f"min_length={min_length}: a length is not negative")
        if workers < 1:
            raise OptionError(f"workers={workers}: at least one process has to search")
        for each in stop_lists:
            stop_list(each)
        self.terminology = Terminology.of(source)
        self._label = label
        self._rules = NameRules(
            min_length=min_length,
            stop_terms=tuple(stop_terms),
            stop_lists=tuple(stop_lists),
            plurals=plurals,
            spellings=spellings,
            unqualified=unqualified,
            synonyms=synonyms,
            word_order=word_order,
            joined=joined,
            adjectives=adjectives,
            match_abbreviation_case=match_abbreviation_case,
        )
        self._evidence = Evidence(definitions, tuple(evidence))
        self._least_score = least_score(fuzzy)
        self._nested = nested
        self._cache = cache
        self._workers = workers
        self._matcher: Matcher | None = None

    @cached_property
    def name(self) -> str:
        return self.options.get("name") or self.terminology.name

    def fingerprint_data(self) -> Mapping[str, Any]:
        """The rules and what the terminology holds; where it lies has no part in it."""
        content = cached_meta(inputs_of(self.terminology, self._rules)).get("content_hash") if self._cache else None
        return {
            "label": self._label,
            "nested": self._nested,
            "evidence": self._evidence,
            "fuzzy": self._least_score and [self._least_score, known_words_version()],
            "rules": self._rules.fingerprint_data(),
            "terminology": content or self.terminology.content_hash,
        }

    @property
    def matcher(self) -> Matcher:
        """What finds its names, made at first use.

        Raises:
            DataError: if the terminology cannot be read, or no name of it is left to look for.
        """
        if self._matcher is None:
            with _BUILDING:
                if self._matcher is None:
                    self._match(automaton_of(self.terminology, self._rules, cached=self._cache))
        assert self._matcher is not None
        return self._matcher

    def luggage(self) -> bytes:
        """Its names, compiled, so that they are neither read nor compiled in another process."""
        return self.matcher.automaton.compiled.pack()

    def unpack(self, luggage: bytes | memoryview) -> None:
        self._match(Automaton(Compiled.unpack(luggage)))

    def _match(self, automaton: Automaton) -> None:
        self._matcher = Matcher(automaton, nested=self._nested, evidence=self._evidence, least_score=self._least_score)

    def label_document(self, document: Document) -> Iterator[Span]:
        return self._spans(self.matcher.find(document.text))

    def explain(self, document: Document) -> list[Explanation]:
        """Why each of its spans in a document was made, and why other names that stand there were not marked.

        >>> teacher = TerminologyTeacher(["iron", "iron deficiency", "fever"], label="any", stop_terms=["fever"])
        >>> print(*teacher.explain(Document("n1", "Iron deficiency, no fever. Iron was low.")), sep="\\n")
        0-4: dropped 'iron' [iron]: ambiguous, no evidence
        0-15: kept 'iron deficiency' [iron deficiency]: a name
        20-25: dropped 'fever' [fever]: not looked for, a stop term
        27-31: dropped 'iron' [iron]: ambiguous, no evidence

        Raises:
            DataError: if the terminology cannot be read, or no name of it is left to look for.
        """
        left_out = [
            Explanation(match.start, match.end, name.code, name.text, "", False, f"not looked for, {name.reason}")
            for names, automaton in [self._left_out]
            for match in automaton.candidates(Words(document.text))
            for name in [names[int(match.code)]]
        ]
        return sorted([*self.matcher.explain(document.text), *left_out], key=attrgetter("start", "end"))

    @cached_property
    def _left_out(self) -> tuple[list[Dropped], Automaton]:
        """Names that are not looked for, and what finds them all the same."""
        names = list(self._rules.dropped(self.terminology))
        return names, Automaton(Term(name.text, str(number)) for number, name in enumerate(names))

    def _spans(self, matches: Iterable[Match]) -> Iterator[Span]:
        label, name = self._label, self.name
        for start, end, code, _, score in matches:
            yield Span(start, end, label, score, name, code)

    def annotate(self, documents: Iterable[Document]) -> Iterator[Annotation]:
        """As every teacher; but a terminology that cannot be read is an error at once, not one for each document."""
        return self._annotations(self._find(documents))

    def predict(self, documents: Iterable[Document]) -> Iterator[Document]:
        """As every teacher, in several processes if there are `workers`; a terminology that cannot be read is an error.

        Raises:
            DataError: if the terminology cannot be read, or no name of it is left to look for.
            ClinidistillError: if it fails on a document.
        """
        for document, matches, _ in self._find(documents):
            if isinstance(matches, str):
                raise ClinidistillError(f"teacher {self.name!r} failed on document {document.id!r}: {matches}")
            yield document.with_spans(self._spans(matches), self.labels)

    def _find(self, documents: Iterable[Document]) -> Iterator[_Found]:
        find = find_all if self._workers == 1 else partial(find_in_parallel, workers=self._workers)
        return find(self.matcher, documents)

    def _annotations(self, found: Iterable[_Found]) -> Iterator[Annotation]:
        name, labels = self.name, self.labels
        for document, matches, seconds in found:
            if isinstance(matches, str):
                yield Annotation(document.id, name, covers=labels, error=matches, seconds=seconds)
            else:
                yield Annotation(document.id, name, tuple(self._spans(matches)), labels, seconds=seconds)


_BUILDING = threading.Lock()
_Found = tuple[Document, list[Match] | str, float]
