"""Rules for datasets."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from clinidistill.component import Component
from clinidistill.datasets.base import Dataset
from clinidistill.errors import ClinidistillError, ConfigError, DataError
from clinidistill.testing.damage import copied, damaged
from clinidistill.testing.listening import listening
from clinidistill.testing.notes import CANARY, HOSTILE, LONE_SURROGATE, quotes
from clinidistill.testing.options import rebuilt
from clinidistill.testing.rules import Case, Rule, add, broken, leave_out, try_all
from clinidistill.testing.shared import COMPONENT_RULES
from clinidistill.testing.threads import in_threads
from clinidistill.types import Document, Span

__all__ = ["DATASET_RULES", "DatasetCase", "check_dataset"]

_MOST = 40  # documents compared
_HUGE = 1_000_000  # characters


def check_dataset(dataset: Dataset) -> dict[str, str]:
    """Check that a dataset keeps the contract of :class:`~clinidistill.datasets.base.Dataset`.

    A format that can be written is also written, to a temporary folder, and read with the dataset's options.

    Args:
        dataset: a small one, since it is read several times.

    Returns:
        The rules that could not be tried on it, with why.

    Raises:
        ConformanceError: at the first rule that it breaks.
    """
    return try_all(DATASET_RULES, DatasetCase(dataset))


class DatasetCase(Case):
    """A dataset under test."""

    group = "datasets"
    base = Dataset
    component: Dataset

    def answers(self) -> list[Document]:
        return list(itertools.islice(self.component, _MOST))

    def beside(self, component: Component) -> DatasetCase:
        return DatasetCase(component)

    def written(self, documents: Iterable[Document], folder: str) -> Dataset:
        """Documents as written and read by this format; the rule is left out where it cannot be written."""
        cls = type(self.component)
        if cls.write.__func__ is Dataset.write.__func__:  # type: ignore[attr-defined]
            leave_out("it can only be read")
        if "path" not in self.component.options:
            leave_out("it is not read from a path")
        path, kept = Path(folder) / f"written{cls.suffixes[0] if cls.suffixes else ''}", list(documents)
        try:
            count = cls.write(iter(kept), path)
        except ConfigError:  # a format of a file a document, which takes a folder
            path = Path(folder) / "written"
            count = cls.write(iter(kept), path)
        again = rebuilt(
            self.component, {"path": path, **({"labels": None} if "labels" in self.component.options else {})}
        )
        assert isinstance(again, Dataset)
        if count != sum(1 for _ in again):
            broken(f"write says that it wrote {count} documents, and {sum(1 for _ in again)} can be read")
        return again


DATASET_RULES: list[Rule] = []


@add(DATASET_RULES, "dataset/again")
def can_be_read_again(case: DatasetCase) -> None:
    """It can be iterated again and again, also twice at a time, and gives the same documents in the same order."""
    first = case.answers()
    if case.answers() != first:
        broken("its second iteration gives other documents, or another order; begin anew in __iter__, and sort")
    one, other = (itertools.islice(case.component, _MOST) for _ in range(2))
    if list(itertools.zip_longest(one, other)) != [(document, document) for document in first]:
        broken("two iterations at a time disturb each other; keep no place on self")
    for found in in_threads(case.answers):
        if found != first:
            broken("iterations in several threads disturb each other; keep no place on self")


@add(DATASET_RULES, "dataset/documents")
def documents_have_ids(case: DatasetCase) -> None:
    """It gives Documents, whose ids are unique."""
    seen: set[str] = set()
    for number, document in enumerate(case.component, 1):
        if not isinstance(document, Document):
            broken(f"item {number} is a {type(document).__name__}; yield Documents")
        if document.id in seen:
            broken(f"two documents have the id {document.id!r}; make ids unique, by file and place if need be")
        seen.add(document.id)


@add(DATASET_RULES, "dataset/length")
def length_is_right(case: DatasetCase) -> None:
    """`len` is the number of its documents where that is known without reading them, and TypeError otherwise."""
    try:
        length = len(case.component)
    except TypeError:
        leave_out("it does not know its length without reading")
    count = sum(1 for _ in case.component)
    if length != count:
        broken(f"len() says {length}, and it gives {count} documents")


def _writing() -> list[Document]:
    text = "Started metformin for type 2 diabetes.\nNo heart failure today."
    spans = [
        Span(text.index(mention), text.index(mention) + len(mention), label)
        for mention, label in (("metformin", "medication"), ("diabetes", "disease"), ("heart failure", "disease"))
    ]
    return [Document(f"note-{number}", text, tuple(spans)) for number in (1, 2, 3)]


@add(DATASET_RULES, "dataset/round-trip")
def what_is_written_can_be_read(case: DatasetCase) -> None:
    """What `write` writes can be read: ids, mentions and labels, of any iterable; written again it is the same."""
    documents = _writing()
    before = copy.deepcopy(documents)
    with TemporaryDirectory() as folder:
        first = list(case.written(iter(documents), folder))
    if documents != before:
        broken("write changes the documents that it gets")
    if [document.id for document in first] != [document.id for document in documents]:
        broken("ids do not come back as they were written, or in another order")
    for one, other in zip(documents, first, strict=True):
        if _mentions(one) != _mentions(other):
            broken(f"document {one.id!r} comes back with other mentions or labels than were written")
    with TemporaryDirectory() as folder:
        if list(case.written(first, folder)) != first:
            broken("what was read, written and read again is not the same; have write and __iter__ agree")


def _mentions(document: Document) -> list[tuple[str, str]]:
    """The mentions with their labels; white space does not count, which some formats cannot keep."""
    return [(" ".join(document.mention(span).split()), span.label) for span in document.spans]


@add(DATASET_RULES, "dataset/offsets")
def hostile_text_survives(case: DatasetCase) -> None:
    """Mentions come back from hostile text as they were, or writing it is refused with DataError; nothing shifts."""
    refused = 0
    for number, hostile in enumerate((*HOSTILE, LONE_SURROGATE, " ".join(HOSTILE))):
        before = f"On {hostile} "
        text = f"{before}metformin {hostile} and aspirin."
        spans = [Span(len(before), len(before) + 9, "medication"), Span(len(text) - 8, len(text) - 1, "medication")]
        document = Document(f"hostile-{number}", text, tuple(spans))
        with TemporaryDirectory() as folder:
            try:
                (again,) = case.written([document], folder)
            except DataError:
                refused += 1
                continue
        if _mentions(again) != _mentions(document):
            broken(
                f"mentions in a text with {hostile!a} come back shifted; convert offsets at the door, or refuse "
                "with DataError what the format cannot say"
            )
    if refused > len(HOSTILE):
        broken("it refuses every text that is not ASCII")


@add(DATASET_RULES, "dataset/sizes")
def documents_of_all_sizes_survive(case: DatasetCase) -> None:
    """An empty document and one of a megabyte come back among others, or writing them is refused with DataError."""
    note, line = _writing()[0], "Took aspirin today.\n"
    last = line * (_HUGE // len(line))
    mentions = [Span(5, 12, "medication"), Span(len(last) - len(line) + 5, len(last) - 8, "medication")]
    for what, middle in (("an empty", Document("middle", "")), ("a huge", Document("middle", last, tuple(mentions)))):
        given = [replace(note, id="first"), middle, replace(note, id="second")]
        with TemporaryDirectory() as folder:
            try:
                found = {each.id: _mentions(each) for each in case.written(given, folder)}
            except DataError:
                continue
        if found != {each.id: _mentions(each) for each in given}:
            broken(f"{what} document is lost, or its mentions are; write it, or refuse it with DataError")


@add(DATASET_RULES, "dataset/damage")
def damaged_files_are_data_errors(case: DatasetCase) -> None:
    """A damaged or missing file is a DataError that quotes no note, or is read as far as it makes sense."""
    if "path" not in case.component.options:
        leave_out("it is not read from a path")
    with TemporaryDirectory() as folder:
        missing = rebuilt(case.component, {"path": Path(folder) / f"absent{(*type(case.component).suffixes, '')[0]}"})
        _read(missing, "that is not there", ())
        if not isinstance(_error_of(missing), ClinidistillError):
            broken("of a file that is not there it gives no error; raise DataError with the path")
        other = copied(case.component, folder)
        if other is None:
            leave_out("its path is large, or a pattern")
        texts = [document.text for document in case.answers()]
        for what in damaged(other.options["path"]):
            try:
                again = rebuilt(other, {})
            except ClinidistillError:
                continue
            _read(again, what, texts)


def _read(dataset: Component, what: str, texts: Iterable[str]) -> None:
    error = _error_of(dataset)
    if error is None:
        return
    if not isinstance(error, ClinidistillError):
        broken(f"of a file {what} it raises {type(error).__name__}; raise DataError with file and line")
    if quotes(str(error), texts):
        broken(f"its error about a file {what} quotes a note; tell the place and what is wrong")


def _error_of(dataset: Component) -> Exception | None:
    assert isinstance(dataset, Dataset)
    try:
        for _ in dataset:
            pass
    except Exception as error:
        return error
    return None


@add(DATASET_RULES, "dataset/privacy")
def notes_stay_private(case: DatasetCase) -> None:
    """No text of a note stands in its repr, or in what it logs, warns or prints as it is read or written."""
    with listening() as heard:
        texts = [document.text for document in case.answers()]
    views = [*heard, repr(case.component), repr(case.component.options)]
    with TemporaryDirectory() as folder, listening() as while_writing:
        private = Document("private", f"{CANARY}. On metformin.", (Span(0, 12, "name"),))
        try:
            case.written([private], folder)
        except Exception as error:
            if isinstance(error, ClinidistillError):
                views.append(str(error))
    if any(quotes(view, [*texts, private.text]) for view in [*views, *while_writing]):
        broken("its repr, its options or its logs hold text of notes; tell ids, places and counts instead")


DATASET_RULES += COMPONENT_RULES
