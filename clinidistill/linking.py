"""Codes for spans from any teacher or student: which concept of a terminology each mention means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from clinidistill.errors import OptionError
from clinidistill.matching import Automaton, NameRules, automaton_of, word_key
from clinidistill.matching.abbreviations import definitions
from clinidistill.matching.candidates import NameIndex
from clinidistill.matching.variants import plurals, spellings, unqualified
from clinidistill.terminologies import Concept, Terminology
from clinidistill.types import Document, Span

__all__ = ["Candidate", "Linker", "link"]


class Candidate(NamedTuple):
    """A concept that a mention may mean.

    Attributes:
        code: the concept's code.
        name: the name of it that is most like the mention.
        score: how alike they are, in (0, 1]: 1 where the words are the same.
    """

    code: str
    name: str
    score: float


class Linker:
    """Finds the concepts that a mention may mean.

    A mention is compared with names as notes are (see :func:`~clinidistill.matching.word_key`), in singular and plural,
    British and American. Where that finds nothing, names are looked for that share its rare words, misspelled ones
    among them; see :class:`~clinidistill.matching.candidates.NameIndex`.

    Args:
        terminology: as a terminology teacher takes it; both share a compiled automaton.
        candidates: how many concepts to give at most.
        cache: whether the compiled automaton is kept in the user's cache folder and taken from there the next time.

    Raises:
        OptionError: if `terminology` is none, or `candidates` is not positive.

    >>> linker = Linker([Concept("38341003", "Hypertension"), Concept("84114007", "Heart failure")])
    >>> [(each.code, each.name, round(each.score, 1)) for each in linker.candidates("severe hypertention")]
    [('38341003', 'Hypertension', 0.7)]
    """

    def __init__(
        self,
        terminology: Terminology | Mapping[str, Any] | str | Path | Iterable[str | Concept],
        *,
        candidates: int = 5,
        cache: bool = True,
    ):
        if candidates < 1:
            raise OptionError(f"candidates={candidates}: a linker gives at least one")
        self.terminology = Terminology.of(terminology)
        self._most = candidates
        self._cache = cache
        self._known: dict[str, tuple[Candidate, ...]] = {}

    def candidates(self, mention: str) -> tuple[Candidate, ...]:
        """The concepts that `mention` may mean, the likeliest first; each once.

        Raises:
            DataError: at first use, if the terminology cannot be read or has no names.
        """
        found = self._known.get(mention)
        if found is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            best: dict[str, Candidate] = {}
            for each in (*self._alike(mention), *self._similar(mention)):
                if each.code not in best or each.score > best[each.code].score:
                    best[each.code] = each
            found = tuple(sorted(best.values(), key=lambda each: -each.score)[: self._most])
            self._known[mention] = found
        return found

    @cached_property
    def _automaton(self) -> Automaton:
        return automaton_of(self.terminology, NameRules(), cached=self._cache)

    @cached_property
    def _names(self) -> list[int]:
        """The keys that are indexed: without those that another one stands for."""
        compiled = self._automaton.compiled
        skipped = {at for at, rule in enumerate(compiled.rules) if rule in _SAME_WORDS}
        return [key for key in range(len(compiled.keys)) if compiled.rule[compiled.first[key]] not in skipped]

    @cached_property
    def _index(self) -> NameIndex:
        keys = list(self._automaton.compiled.keys)
        return NameIndex(map(keys.__getitem__, self._names))

    def _alike(self, mention: str) -> Iterator[Candidate]:
        """Concepts with a name that is the mention but for its spelling or number."""
        keys = self._automaton.compiled.keys
        forms = dict.fromkeys(form for made in (unqualified, spellings, plurals) for form in made(mention))
        for form, score in ((mention, 1.0), *((form, _VARIANT) for form in forms)):
            key = keys.get(word_key(form))
            if key is not None:
                yield from self._concepts(key, score, form)

    def _similar(self, mention: str) -> Iterator[Candidate]:
        """Concepts with a name that shares words with the mention."""
        key = word_key(mention)
        if key:
            for number, score in self._index.search(key, _MOST_NAMES * self._most):
                yield from self._concepts(self._names[number], min(score, 1) * _REORDERED)

    def _concepts(self, key: int, score: float, spelling: str | None = None) -> Iterator[Candidate]:
        compiled = self._automaton.compiled
        for entry in range(compiled.first[key], compiled.first[key + 1]):
            term = self._automaton.term(entry)
            if not term.match_case or spelling is None or spelling == term.text:
                yield Candidate(term.code, term.text, score * (_VARIANT if term.rule and score == 1 else 1))


def link(
    documents: Iterable[Document],
    terminology: Linker | Terminology | Mapping[str, Any] | str | Path | Iterable[str | Concept],
    *,
    labels: Iterable[str] | None = None,
    min_score: float = 0.65,
    overwrite: bool = False,
    candidates: int = 5,
) -> Iterator[Document]:
    """Give spans the codes of the concepts that they mean.

    An abbreviation that the note defines means what it stands for there. The concepts that were weighed are kept in
    ``document.meta["links"]``: for each span that was looked up its place, label and candidates with their scores, the
    likeliest first. A span's own score stays what it was: how sure it is that there is a mention.

    Args:
        documents: whose spans to link, say a student's output; each is taken when its turn comes.
        terminology: where the codes are from, or a :class:`Linker` to be used again.
        labels: only spans with these labels; None links all. Link again for other labels and terminologies.
        min_score: a span whose best candidate scores less gets no code, in [0, 1]: at 1 only the same words will do.
        overwrite: whether spans that have a code are linked again; what cannot be linked then loses its code.
        candidates: how many candidates to keep for each span; 0 leaves ``meta`` alone.

    Returns:
        The documents, lazily and in order.

    Raises:
        OptionError: if an option does not fit.
        DataError: with the first document, if the terminology cannot be read or has no names.

    >>> from clinidistill.types import Document, Span
    >>> note = Document("n1", "Known CHF (congestive hert failure).", [Span(6, 9, "disease")])
    >>> (linked,) = link([note], [Concept("42343007", "Congestive heart failure")])
    >>> linked.spans[0].code
    '42343007'
    >>> linked.meta["links"][0]["candidates"]
    [{'code': '42343007', 'name': 'Congestive heart failure', 'score': 0.896}]
    """
    if not 0 <= min_score <= 1:
        raise OptionError(f"min_score={min_score}: scores lie in [0, 1]")
    if candidates < 0:
        raise OptionError(f"candidates={candidates}: give 0 or more")
    if isinstance(labels, str):
        raise OptionError("labels is a list of labels, not one string")
    linker = terminology if isinstance(terminology, Linker) else Linker(terminology, candidates=max(1, candidates))
    wanted = None if labels is None else frozenset(labels)

    def looked_up(span: Span) -> bool:
        return (wanted is None or span.label in wanted) and (overwrite or span.code is None)

    return (_linked(document, linker, looked_up, min_score, candidates) for document in documents)


def _linked(
    document: Document, linker: Linker, looked_up: Callable[[Span], bool], min_score: float, most: int
) -> Document:
    if not isinstance(document, Document):
        raise OptionError(f"link takes documents with spans, not {type(document).__name__}: have them marked first")
    if not any(map(looked_up, document.spans)):
        return document
    text = document.text
    meant = {each.short: text[each.start : each.end] for each in reversed(definitions(text))}
    spans, links = [], []
    for span in document.spans:
        if not looked_up(span):
            spans.append(span)
            continue
        found = linker.candidates(_written_out(document.mention(span), meant))
        spans.append(replace(span, code=found[0].code if found and found[0].score >= min_score else None))
        shown = [{**each._asdict(), "score": round(each.score, 3)} for each in found[:most]]
        links.append({"start": span.start, "end": span.end, "label": span.label, "candidates": shown})
    if not most:
        return replace(document, spans=tuple(spans))
    before = document.meta.get("links", ())
    meta = {**document.meta, "links": sorted((*before, *links), key=lambda each: (each["start"], each["end"]))}
    return replace(document, spans=tuple(spans), meta=meta)


def _written_out(mention: str, meant: Mapping[str, str]) -> str:
    """A mention with what its abbreviations stand for, as the note defines them."""
    return " ".join(meant.get(word) or meant.get(word.removesuffix("s"), word) for word in mention.split())


_VARIANT, _REORDERED = 0.98, 0.96
_SAME_WORDS = {"plurals", "word_order"}  # rules that leave a name's stems as they are
_MOST_NAMES = 4  # names looked at for each concept wanted
_MOST_REMEMBERED = 100_000
