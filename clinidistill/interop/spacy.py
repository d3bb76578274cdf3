"""A student as a component of spaCy pipelines (extra ``spacy``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import tee
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import filter_spans

from clinidistill.errors import ConfigError
from clinidistill.students import Student, load_student

__all__ = ["StudentComponent", "make_component"]

_FOLDER = "student"


class StudentComponent:
    """Marks in a Doc what a student finds, as entities or as a span group. A pipeline gets it by its name.

    An entity's ``kb_id_`` is the span's code. In a span group mentions may overlap, and ``attrs["scores"]`` holds their
    scores, as spaCy's own SpanCategorizer does it. Offsets that are not the edges of spaCy's tokens are moved outwards
    to the next ones.

    Args:
        model: a saved student's folder; None where the pipeline itself is loaded from disk.
        spans_key: name of the span group; None sets ``doc.ents``.
        overwrite_ents: whether its entities come before those that the Doc has already; else these stay.

    Raises:
        ConfigError: at first use, if there is no model.
    """

    def __init__(self, model: str | Path | None, *, spans_key: str | None = None, overwrite_ents: bool = False):
        self._model = model
        self.spans_key = spans_key
        self.overwrite_ents = overwrite_ents

    @cached_property
    def student(self) -> Student:
        """The student, loaded when it is first needed."""
        if self._model is None:
            raise ConfigError('name a model: nlp.add_pipe("clinidistill", config={"model": "drug-ner"})')
        if not Path(self._model).is_dir():
            raise ConfigError(f"{str(self._model)!r} is no folder; a model is the folder that student.save wrote")
        return load_student(self._model)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels it marks; empty before there is a model."""
        there = self._model is not None and Path(self._model).is_dir()
        return self.student.labels if there else ()

    def __call__(self, doc: Doc) -> Doc:
        return next(self.pipe([doc]))

    def pipe(self, stream: Iterable[Doc], *, batch_size: int | None = None) -> Iterator[Doc]:
        """The Docs with their mentions, lazily and in order.

        Args:
            stream: Docs.
            batch_size: not used: the student makes batches by tokens.
        """
        docs, again = tee(stream)
        for doc, found in zip(again, self.student.predict(doc.text for doc in docs), strict=True):
            marked = [
                (span, doc.char_span(span.start, span.end, span.label, span.code or "", alignment_mode="expand"))
                for span in found.spans
            ]
            placed = [(span, there) for span, there in marked if there is not None]
            if self.spans_key is None:
                ours = [there for _, there in placed]
                ranked = [*ours, *doc.ents] if self.overwrite_ents else [*doc.ents, *ours]
                doc.set_ents(_without_overlaps(ranked, len(ours) if self.overwrite_ents else len(doc.ents)))
            else:
                doc.spans[self.spans_key] = [there for _, there in placed]
                doc.spans[self.spans_key].attrs["scores"] = [span.score for span, _ in placed]
            yield doc

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Save the student with its pipeline; spaCy calls it."""
        self.student.save(Path(path) / _FOLDER)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> StudentComponent:
        """Take the student from a saved pipeline; spaCy calls it."""
        self._model = Path(path) / _FOLDER
        vars(self).pop("student", None)
        return self


def _without_overlaps(spans: list[Any], first: int) -> list[Any]:
    """Entities that do not overlap; those of the `first` come before the others, and longer before shorter ones."""
    kept = filter_spans(spans[:first])
    taken = {token for span in kept for token in range(span.start, span.end)}
    rest = [span for span in spans[first:] if taken.isdisjoint(range(span.start, span.end))]
    return sorted([*kept, *filter_spans(rest)], key=lambda span: int(span.start))


@Language.factory(
    "clinidistill",
    default_config={"model": None, "spans_key": None, "overwrite_ents": False},
    assigns=["doc.ents", "doc.spans", "token.ent_type", "token.ent_iob"],
)
def make_component(
    nlp: Language, name: str, model: str | None, spans_key: str | None, overwrite_ents: bool
) -> StudentComponent:
    """What ``nlp.add_pipe("clinidistill", config={"model": "drug-ner"})`` calls."""
    return StudentComponent(model, spans_key=spans_key, overwrite_ents=overwrite_ents)
