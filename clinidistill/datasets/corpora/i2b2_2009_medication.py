"""i2b2 2009: medications and how they are taken."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from clinidistill.datasets.corpora.archives import PublishedFiles
from clinidistill.datasets.corpora.base import Corpus
from clinidistill.datasets.corpora.line_tokens import LineTokenFiles, Mention, Misplaced
from clinidistill.datasets.files import Block, FileDataset, OnError
from clinidistill.errors import DataError
from clinidistill.types import Document, Span

__all__ = ["I2b22009Medication"]

_FIELD = re.compile(r'\s*([a-z]+)\s*=\s*"(.*)"\s*([\d:,\s]*)')
_MENTIONS = {"m", "do", "mo", "f", "du", "r"}
_REMARKS = {"e", "t", "c", "ln"}
_WITHOUT_STOPS = {"m", "du", "r"}
_NOT_MENTIONED = "nm"
_HANGING = ".,:;"
_NUMBER = re.compile(r"\d+")
_NOTES = ("train.test.released.8.17.09/[0-9]*", "training.sets.released/*/[0-9]*", "test.released.8.17.09/[0-9]*")
_GOLD = {
    "train": ("training.ground.truth*/*.entries", "*_gold.entries"),
    "test": ("converted.noduplicates.sorted/[0-9]*", "annotations_ground_truth/[0-9]*"),
}

_PUBLISHED = {"train": 10, "test": 250}  # the challenge tells of 251 for the test, but copies with 250 are known


class I2b22009Medication(Corpus):
    """i2b2 2009: medications with dosage, mode, frequency, duration and reason in discharge summaries of Partners.

    Where to get it: https://portal.dbmi.hms.harvard.edu/projects/n2c2-nlp/, after signing the n2c2 data use agreement.
    Point `path` at the folder with ``train.test.released.8.17.09.tar.gz`` (all notes, files without an ending),
    ``training.ground.truth.01.06.11.2009.zip`` and ``annotations_ground_truth.tar.gz`` (of which
    ``converted.noduplicates.sorted`` is read), as they are or unpacked.

    Splits: ``train``, the 10 notes that are given out with the organisers' annotations (the challenge tells of 17);
    ``test``, 251 notes annotated by the participants; ``unlabelled``, all other notes, as a pool.

    Labels: ``m`` (medication), ``do`` (dosage), ``mo`` (mode), ``f`` (frequency), ``du`` (duration), ``r`` (reason). By
    default ``m`` is ``medication`` and the rest is left out. Medications that the patient did not take, such as
    allergies, are not annotated: a student that marks them loses precision here. Places by line and token become code
    points. Tokens end at white space only: of medications, durations and reasons, a full stop, comma, colon or
    semicolon at the end is left out.

    Uzuner, Solti and Cadag 2010, https://doi.org/10.1136/jamia.2010.003947

    Args:
        path, split, labels, on_error, complete: see :class:`~clinidistill.datasets.corpora.base.Corpus`.
        misplaced: ``"raise"``, or ``"drop"`` to leave out mentions whose words do not stand where they should.
    """

    splits = ("train", "test", "unlabelled")
    homepage = "https://portal.dbmi.hms.harvard.edu/projects/n2c2-nlp/"
    agreement = "n2c2 data use agreement"
    names = {"m": "medication"}

    def __init__(
        self,
        path: str | Path,
        split: str | None = None,
        labels: Mapping[str, str] | None = None,
        on_error: OnError = "raise",
        complete: bool = True,
        *,
        misplaced: Misplaced = "raise",
    ):
        super().__init__(path, split, labels, on_error, complete)
        self.misplaced = misplaced

    def needed(self, split: str, files: PublishedFiles) -> Mapping[str, int]:
        notes = {pattern: 0 for pattern in _NOTES if files.find(pattern)} or {_NOTES[0]: 1}
        # To know what is unlabelled takes all labels, lest notes of the test set come to be in the pool.
        wanted = ("train", "test") if split == "unlabelled" else (split,)
        return {self._gold(each, files): _PUBLISHED[each] for each in wanted} | notes

    def readers(self, split: str, files: PublishedFiles) -> Iterable[FileDataset]:
        gold = {each: self._marked(each, files) for each in ("train", "test")}
        notes = {
            path.name: path for pattern in reversed(_NOTES) for path in files.paths(pattern) if path.name.isdigit()
        }
        if split == "unlabelled":
            bare = sorted(notes.keys() - gold["train"].keys() - gold["test"].keys())
            return [_Entries(files.root, {key: (notes[key], None) for key in bare})]
        for key in gold[split].keys() - notes.keys():
            raise DataError(f"there is no note {key} for these annotations", path=gold[split][key])
        pairs = {key: (notes[key], path) for key, path in sorted(gold[split].items())}
        return [_Entries(files.root, pairs, self.misplaced)]

    def _marked(self, split: str, files: PublishedFiles) -> dict[str, Path]:
        """The annotations of a split by the note's number, with which their names begin."""
        paths = files.paths(self._gold(split, files))
        return {number[0]: path for path in paths if (number := _NUMBER.match(path.name))}

    @staticmethod
    def _gold(split: str, files: PublishedFiles) -> str:
        return next((each for each in _GOLD[split] if files.find(each)), _GOLD[split][0])


class _Entries(LineTokenFiles):
    """``m="aspirin" 12:3 12:3||do="81 mg" 12:4 12:5||mo="nm"||…||ln="list"``, an entry a line."""

    def mentions(self, line: str) -> Iterator[Mention]:
        for part in line.split("||"):
            match = _FIELD.fullmatch(part.lstrip("|"))  # some fields are parted by three bars
            if match is None or match[1] not in _MENTIONS | _REMARKS:
                raise DataError('no i2b2 entry: want m="…" line:token line:token||do="…" …||ln="list"')
            if match[1] in _MENTIONS and match[2] != _NOT_MENTIONED:
                yield Mention(match[1], match[2], match[3])

    def parse(self, block: Block) -> Document:
        document = super().parse(block)
        return document.with_spans(
            dict.fromkeys(_without_stop(document, span) for span in document.spans), document.covers
        )


def _without_stop(document: Document, span: Span) -> Span:
    if span.label not in _WITHOUT_STOPS:
        return span
    last = span.fragments[-1][0] if span.fragments else span.start
    end = last + len(document.text[last : span.end].rstrip(_HANGING))
    if end == last:
        return span
    return replace(span, end=end, fragments=(*span.fragments[:-1], (last, end)) if span.fragments else ())
