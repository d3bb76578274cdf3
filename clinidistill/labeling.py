"""The label step: every teacher on every document, each answer written down as it comes."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from clinidistill.database import exists
from clinidistill.datasets.base import Dataset, as_dataset
from clinidistill.errors import ClinidistillError, ConfigError, DataError, LabelingStopped, SpanError, describe
from clinidistill.labels import Labels
from clinidistill.progress import Bar, track
from clinidistill.store import LabelStore
from clinidistill.teachers.base import Session, Teacher
from clinidistill.types import Annotation, Document, Estimate

__all__ = ["estimate", "label", "named_teachers", "relabel", "sound"]

_CHUNK = 256  # documents looked up in the store together
_GROUP, _SECONDS = 64, 0.25  # a cheap teacher's annotations between two commits, at most
_LISTED = 5

_logger = logging.getLogger(__name__)


def label(
    documents: Iterable[Document],
    teachers: Teacher | Iterable[Teacher] | Mapping[str, Teacher],
    store: str | Path | LabelStore | None = None,
    *,
    retry_failures: bool = False,
    allow_remote: bool = False,
    progress: bool | None = None,
) -> Labels:
    """Have each teacher mark each document, and keep every answer.

    A teacher is asked only for documents that the store has no annotation of, so that a second call, or one after
    a crash, goes on where the last one stopped. Teachers see bare notes, never their gold spans. A teacher that
    fails on a document gets a failed annotation there, and the run goes on. One whose budget or time is used up
    ends early, with a warning: what it has not reached has no annotation, and is asked in the next run.

    Args:
        documents: the notes, with unique ids. A dataset is read again for each teacher; anything else is read
            into memory once.
        teachers: one teacher, several, or several by name. Names are for display; teachers of one name get the
            first six digits of their fingerprint appended.
        store: the store, its file, or a URL of PostgreSQL (see :class:`LabelStore`); None keeps the annotations in
            memory as long as the result lives.
        retry_failures: ask again where a teacher failed earlier.
        allow_remote: let notes leave this machine, for teachers that say they send them (``Teacher.remote``); not
            needed for a dataset that is declared de-identified (:meth:`Dataset.deidentified`).
        progress: show progress on stderr; None shows it when that is a terminal.

    Returns:
        The documents with the annotations, which are read from the store when they are needed.

    Raises:
        DataError: if two documents share an id.
        ConfigError: if there is no teacher, one is there twice, or one is remote without `allow_remote`.
        StoreError: if the store cannot be used.
        ClinidistillError: if a teacher dies or stops in the middle, or answers what it was not asked; what it answered
            before is in the store.

    >>> import re
    >>> from clinidistill.types import Span
    >>> class Regex(Teacher):
    ...     def __init__(self, pattern: str, label: str):
    ...         self.pattern, self.label = re.compile(pattern), label
    ...     def label_document(self, document):
    ...         return [Span(m.start(), m.end(), self.label) for m in self.pattern.finditer(document.text)]
    >>> labels = label([Document("n1", "On lisinopril.")], Regex(r"\\w+pril", "medication"))
    >>> [span.key for opinions in labels for span in opinions.annotations["Regex"].spans]
    [(3, 13, 'medication')]
    """
    return _run(documents, teachers, store, progress, retry_failures=retry_failures, allow_remote=allow_remote)


def relabel(
    documents: Iterable[Document],
    teachers: Teacher | Iterable[Teacher] | Mapping[str, Teacher],
    store: str | Path | LabelStore,
    *,
    progress: bool | None = None,
) -> Labels:
    """Make annotations anew from the raw answers in a store, and ask nothing: what a better parser costs.

    Documents that a teacher has no answers on keep what they have. Teachers that keep no raw answers mark the
    documents again, unless they are remote.

    Args:
        documents: the notes, as they were labelled.
        teachers: as :func:`label` takes them, made with the options that they asked with.
        store: the store, its file or URL.
        progress: show progress on stderr; None shows it when that is a terminal.

    Returns:
        The documents with the new annotations, which have replaced the old ones in the store.

    Raises:
        ConfigError: as :func:`label`, or if a remote teacher keeps no raw answers.
        DataError: as :func:`label`.
        StoreError: as :func:`label`.
    """
    return _run(documents, teachers, store, progress, offline=True)


def estimate(
    documents: Iterable[Document],
    teachers: Teacher | Iterable[Teacher] | Mapping[str, Teacher],
    store: str | Path | LabelStore | None = None,
) -> list[Estimate]:
    """What :func:`label` would have to ask, and about what that would cost; nothing is sent.

    Args:
        documents: the notes.
        teachers: as :func:`label` takes them.
        store: the store, its file or URL, whose answers need not be asked for again.

    Returns:
        One estimate a teacher. Token counts go by the teacher's answers in the store, if there are any; else input is
        taken as a token for each four bytes, and output by the length of the notes.

    Raises:
        ConfigError: as :func:`label`.
        DataError: as :func:`label`.
        StoreError: if the store cannot be read.
    """
    named, dataset = named_teachers(teachers), as_dataset(documents)
    _count(dataset)
    there = store is not None and (isinstance(store, LabelStore) or exists(store))
    kept = store if isinstance(store, LabelStore) else LabelStore(store if store is not None and there else ":memory:")

    def pending(fingerprint: str) -> Iterator[Document]:
        rest = iter(dataset)
        while chunk := list(islice(rest, _CHUNK)):
            outcomes = kept.outcomes(fingerprint, chunk)
            yield from (document for document in chunk if document.id not in outcomes)

    try:
        return [
            replace(teacher.estimate(pending(teacher.fingerprint), kept.database), teacher=name)
            for name, teacher in named.items()
        ]
    finally:
        if kept is not store:
            kept.close()


def _run(
    documents: Iterable[Document],
    teachers: Teacher | Iterable[Teacher] | Mapping[str, Teacher],
    store: str | Path | LabelStore | None,
    progress: bool | None,
    *,
    retry_failures: bool = False,
    allow_remote: bool = False,
    offline: bool = False,
) -> Labels:
    named = named_teachers(teachers)
    dataset = as_dataset(documents)
    allowed = allow_remote or dataset.is_deidentified
    for name, teacher in named.items():
        if not offline:
            teacher.check_remote(allowed)
        elif teacher.remote and not teacher.keeps_answers:
            raise ConfigError(f"teacher {name!r} is remote and keeps no raw answers that it could be run on again")
    total = _count(dataset)
    kept = store if isinstance(store, LabelStore) else LabelStore(":memory:" if store is None else store)
    session = Session(kept.database, allowed, retry_failures, offline)
    fingerprints: dict[str, str] = {}
    failures: list[Annotation] = []
    try:
        for name, teacher in named.items():
            with track(name, total, progress) as bar:
                turn = _Turn(teacher, name, kept, session, bar)
                turn.ask(dataset)
            fingerprints[name] = turn.fingerprint
            failures += turn.failures
    except BaseException as error:
        where = "no store was given, so nothing is kept" if store is None else f"answers so far are kept in {kept.path}"
        error.add_note(f"{where}; call label again to go on")
        if kept is not store:
            kept.close()
        raise
    if failures:
        listed = "; ".join(f"{a.teacher} on {a.document_id!r}: {a.error}" for a in failures[:_LISTED])
        _logger.warning(
            "%d of %d annotations are failures, on which the teacher abstains (labels.failures() lists them, "
            "retry_failures=True asks again): %s%s",
            len(failures),
            total * len(named),
            listed,
            "; …" if len(failures) > _LISTED else "",
        )
    return Labels(
        dataset,
        named,
        lambda name, chunk: kept.get(fingerprints[name], chunk, name),
        pace=lambda name: kept.pace(fingerprints[name]),
    )


class _Turn:
    """One teacher's turn at the documents it has not answered yet; in an offline session, at all of them."""

    def __init__(self, teacher: Teacher, name: str, store: LabelStore, session: Session, bar: Bar):
        self.fingerprint = store.register(teacher)
        self.failures: list[Annotation] = []  # old and new
        self._teacher, self._name, self._store, self._session, self._bar = teacher, name, store, session, bar
        self._sent: dict[str, Document] = {}  # those without an answer, by id
        self._faults: list[Exception] = []  # of dataset or store, not of the teacher that happens to read from them
        self._waiting: list[tuple[Document, Annotation]] = []
        self._written = time.monotonic()
        self._answered, self._cost_usd = 0, 0.0

    def ask(self, dataset: Dataset) -> None:
        """Send the documents, keep the answers; whatever ends it early, what was answered is written first."""
        source = self._pending(dataset)
        try:
            if (first := next(source, None)) is None:  # no need to wake the teacher
                return
            began = time.perf_counter()
            answers = self._teacher.attach(self._session).annotate(chain([first], source))
            try:
                for annotation in answers:
                    self._keep(annotation)
            finally:
                if callable(close := getattr(answers, "close", None)):
                    close()
                if self._answered and not self._session.offline:
                    self._write()
                    self._store.clock(self.fingerprint, self._answered, time.perf_counter() - began)
            if self._faults:
                raise self._faults[0]
            if (self._sent and not self._session.offline) or next(source, None) is not None:
                raise ClinidistillError(
                    f"teacher {self._name!r} stopped before document {next(iter(self._sent))!r}; annotate() must yield "
                    "one annotation a document"
                )
        except LabelingStopped as stop:
            _logger.warning("teacher %r ended early, after %d documents: %s", self._name, self._answered, stop)
        except Exception as error:
            if isinstance(error, ClinidistillError) or error in self._faults:
                raise
            raise ClinidistillError(
                f"teacher {self._name!r} died after {self._answered} documents: {describe(error)}"
            ) from error
        finally:
            self._write()

    def _pending(self, dataset: Dataset) -> Iterator[Document]:
        """The bare documents that wait for an answer, looked up as they are asked for."""
        try:
            documents = iter(dataset)
            while chunk := list(islice(documents, _CHUNK)):
                outcomes = {} if self._session.offline else self._store.outcomes(self.fingerprint, chunk)
                for document in chunk:
                    error = outcomes.get(document.id)
                    if document.id not in outcomes or (self._session.retry_failures and error is not None):
                        self._sent[document.id] = document
                        yield document.without_spans()
                        continue
                    self._bar.skip(1)
                    if error is not None:
                        self._fail(Annotation(document.id, self._name, error=error))
        except Exception as error:
            self._faults.append(error)
            raise

    def _keep(self, annotation: Annotation) -> None:
        document = self._due(annotation)
        settled = sound(document, annotation, self._name)
        self._waiting.append((document, settled))
        late = time.monotonic() - self._written >= _SECONDS
        at_once = self._teacher.remote and not self._teacher.keeps_answers
        if at_once or late or len(self._waiting) >= _GROUP:
            self._write()
        self._answered += 1
        self._bar.advance()
        if settled.cost_usd:
            self._cost_usd += settled.cost_usd
            self._bar.note(usd=self._cost_usd)
        if settled.failed:
            self._fail(settled)

    def _due(self, annotation: Annotation) -> Document:
        """The document that the annotation is of, which must be waiting for it."""
        if not isinstance(annotation, Annotation):
            raise ClinidistillError(
                f"teacher {self._name!r}: annotate() must yield annotations, not {type(annotation).__name__}"
            )
        document = self._sent.pop(annotation.document_id, None)
        if document is None:
            raise ClinidistillError(
                f"teacher {self._name!r} answered {annotation.document_id!r}, which it was not asked, or asked once; "
                "annotate() must yield one annotation a document"
            )
        return document

    def _fail(self, annotation: Annotation) -> None:
        self.failures.append(annotation)
        self._bar.note(failures=len(self.failures))

    def _write(self) -> None:
        if self._waiting:
            self._store.add(self.fingerprint, self._waiting, replace_all=self._session.offline)
            self._waiting = []
        self._written = time.monotonic()


def sound(document: Document, annotation: Annotation, name: str) -> Annotation:
    """The annotation under the teacher's name now; a failed one if its spans cannot stand."""
    error = annotation.error
    if error is None:
        try:
            document.with_spans(annotation.spans)
            strange = sorted({span.label for span in annotation.spans if not annotation.knows(span.label)})
            if strange:
                raise SpanError(f"marked {strange}, which the annotation's covers leaves out")
        except SpanError as fault:
            error = describe(fault)
    old = annotation.teacher
    if error is None and old == name and all(span.source is not None for span in annotation.spans):
        return annotation
    spans = (replace(span, source=name) if span.source in (None, old) else span for span in annotation.spans)
    return replace(annotation, teacher=name, spans=() if error is not None else tuple(spans), error=error)


def named_teachers(teachers: Teacher | Iterable[Teacher] | Mapping[str, Teacher]) -> dict[str, Teacher]:
    """The teachers by the names that they go by when they label together.

    Raises:
        ConfigError: if there is none, one is no teacher, two are the same, or names clash.
    """
    if isinstance(teachers, Mapping):
        pairs = list(teachers.items())
    else:
        pairs = [(getattr(t, "name", ""), t) for t in ([teachers] if isinstance(teachers, Teacher) else teachers)]
    if not pairs:
        raise ConfigError("label needs at least one teacher")
    for _, teacher in pairs:
        if not isinstance(teacher, Teacher):
            raise ConfigError(f"a teacher is expected, not {type(teacher).__name__}; load_teacher(name, ...) makes one")
    owners: dict[str, str] = {}
    for name, teacher in pairs:
        if teacher.fingerprint in owners:
            raise ConfigError(
                f"teachers {owners[teacher.fingerprint]!r} and {name!r} are the same: same class, same options; leave "
                "one out"
            )
        owners[teacher.fingerprint] = name
    if not isinstance(teachers, Mapping):
        often = Counter(owners.values())
        names = [name if often[name] == 1 else f"{name}-{fingerprint[:6]}" for fingerprint, name in owners.items()]
        pairs = [(name, teacher) for name, (_, teacher) in zip(names, pairs, strict=True)]
    if len(named := dict(pairs)) < len(pairs):
        raise ConfigError(f"names of teachers clash: {sorted(name for name, _ in pairs)}; name them by a mapping")
    return named


def _count(dataset: Dataset) -> int:
    """Number of documents, counted before anything is paid for, as what is wrong with their ids is found here."""
    seen: set[str] = set()
    for document in dataset:
        if not isinstance(document, Document):
            raise DataError(f"a Document is expected, not {type(document).__name__}; Document(id, text) makes one")
        if document.id in seen:
            raise DataError(f"two documents have the id {document.id!r}; ids must be unique within a dataset")
        seen.add(document.id)
    return len(seen)
