"""i2b2/VA 2010: problems, treatments and tests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from clinidistill.datasets.corpora.archives import PublishedFiles
from clinidistill.datasets.corpora.base import Corpus
from clinidistill.datasets.corpora.line_tokens import LineTokenFiles, Mention, Misplaced
from clinidistill.datasets.files import FileDataset, OnError
from clinidistill.errors import DataError

__all__ = ["I2b22010"]

_CONCEPT = re.compile(r'c="(.*)"\s+([\d:\s]+)\|\|\s*t="([^"]+)"')
_TEST_NOTES = ("test_data/*.txt", "test_data/txt/*.txt", "test/txt/*.txt", "reference_standard_for_test_data/txt/*.txt")
_TEST_CONCEPTS = (
    "reference_standard_for_test_data/concepts/*.con",
    "reference_standard_for_test_data/concept/*.con",
    "test_data/concept/*.con",
    "test_data/concepts/*.con",
    "test/concept/*.con",
)
_TRAIN = {"beth": 73, "partners": 97}


class I2b22010(Corpus):
    """i2b2/VA 2010: medical problems, treatments and tests in discharge summaries and progress notes.

    Where to get it: https://portal.dbmi.hms.harvard.edu/projects/n2c2-nlp/, after signing the n2c2 data use agreement.
    Point `path` at the folder with ``concept_assertion_relation_training_data.tar.gz``, ``test_data.tar.gz`` and
    ``reference_standard_for_test_data.tar.gz``, as they are or unpacked.

    Splits: ``train`` (170: 73 of Beth Israel, 97 of Partners) and ``test`` (256), as they are given out today; who has
    the notes of UPMC as well reads more. ``unlabelled`` is the notes in ``unannotated``, where they are there.

    Labels: ``problem``, ``treatment``, ``test``, and that is what they are called here. A problem is a disease, a
    symptom or a finding alike, so that it is neither ``disease`` nor ``symptom``; a treatment is a drug, a procedure or
    a device. Places by line and token become code points. Assertions and relations are passed over.

    Uzuner et al. 2011, https://doi.org/10.1136/amiajnl-2011-000203

    Args:
        path, split, labels, on_error, complete: see :class:`~clinidistill.datasets.corpora.base.Corpus`.
        misplaced: ``"raise"``, or ``"drop"`` to leave out mentions whose words do not stand where they should.
    """

    splits = ("train", "test", "unlabelled")
    homepage = "https://portal.dbmi.hms.harvard.edu/projects/n2c2-nlp/"
    agreement = "n2c2 data use agreement"
    names = {name: name for name in ("problem", "treatment", "test")}

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
        notes, concepts = self._patterns(split, files)
        if split == "unlabelled":
            return dict.fromkeys(notes, 0)
        if split == "test":
            return {notes[0]: 256, concepts[0]: 256}
        numbers = {f"{place}/{what}": number for place, number in _TRAIN.items() for what in ("txt/*", "concept/*")}
        return {pattern: numbers.get(pattern.rpartition(".")[0], 0) for pattern in (*notes, *concepts)}

    def readers(self, split: str, files: PublishedFiles) -> Iterable[FileDataset]:
        notes, concepts = (
            {path.stem: path for pattern in patterns for path in files.paths(pattern)}
            for patterns in self._patterns(split, files)
        )
        for key in concepts.keys() - notes.keys():
            raise DataError(f"there is no {key}.txt for these concepts", path=concepts[key])
        for key in notes.keys() - concepts.keys() if split != "unlabelled" else ():
            raise DataError(f"there is no {key}.con for this note", path=notes[key])
        return [_Concepts(files.root, {key: (notes[key], concepts.get(key)) for key in sorted(notes)}, self.misplaced)]

    def _patterns(self, split: str, files: PublishedFiles) -> tuple[list[str], list[str]]:
        """Patterns of the split's notes, and of their concepts."""
        if split == "unlabelled":
            return ["unannotated/*.txt"], []
        if split == "test":
            return [_there(_TEST_NOTES, files)], [_there(_TEST_CONCEPTS, files)]
        places = [*_TRAIN, "upmc*"]
        return [f"{place}/txt/*.txt" for place in places], [f"{place}/concept/*.con" for place in places]


class _Concepts(LineTokenFiles):
    """``c="chest pain" 12:3 12:4||t="problem"``, a concept a line."""

    def mentions(self, line: str) -> Iterator[Mention]:
        match = _CONCEPT.fullmatch(line)
        if match is None:
            raise DataError('no i2b2 concept: want c="…" line:token line:token||t="problem"')
        yield Mention(match[3], match[1], match[2])


def _there(patterns: Iterable[str], files: PublishedFiles) -> str:
    """The first pattern that something matches, or else the first."""
    first, *others = patterns
    return next((each for each in (first, *others) if files.find(each)), first)
