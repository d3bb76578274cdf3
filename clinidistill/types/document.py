"""A note: its text, the mentions marked in it, and which labels were looked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

from clinidistill.errors import SpanError
from clinidistill.types.html import html_note
from clinidistill.types.span import Span

__all__ = ["Document", "document_key"]


@dataclass(frozen=True, slots=True, repr=False)
class Document:
    """A note and the mentions marked in it.

    Args:
        id: unique name of the note within its dataset.
        text: the note, exactly as it is; every offset counts its code points.
        spans: mentions; kept sorted by place.
        covers: the labels that were looked for when `spans` were made; None means all. A label outside
            `covers` says nothing: neither its presence nor its absence is evidence.
        meta: anything else, JSON-ready; not part of the hash.

    Raises:
        SpanError: if a span reaches outside the text. The message gives offsets and the document's id,
            never its text.

    The repr shows sizes, not text, so that notes stay out of logs.

    >>> note = Document("n1", "Started metformin 500 mg.", [Span(8, 17, "medication")])
    >>> note.mention(note.spans[0])
    'metformin'
    >>> note
    Document(id='n1', 25 characters, 1 span)
    """

    id: str
    text: str
    spans: tuple[Span, ...] = ()
    covers: frozenset[str] | None = None
    meta: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            raise SpanError("a document needs a non-empty string as its id")
        if not isinstance(self.text, str):
            raise SpanError(f"document {self.id!r}: text must be a string, not {type(self.text).__name__}")
        spans = tuple(sorted(self.spans)) if self.spans else ()
        object.__setattr__(self, "spans", spans)
        if isinstance(self.covers, str):
            raise SpanError(f"document {self.id!r}: covers must be a set of labels, not one string")
        if self.covers is not None:
            object.__setattr__(self, "covers", frozenset(self.covers))
        size = len(self.text)
        for span in spans:
            if span.end > size:
                raise SpanError(
                    f"span [{span.start}, {span.end}) {span.label!r} reaches outside document {self.id!r}, "
                    f"which has {size} characters"
                )

    def __repr__(self) -> str:
        plural = "" if len(self.spans) == 1 else "s"
        covers = "" if self.covers is None else f", covers {sorted(self.covers)}"
        return f"Document(id={self.id!r}, {len(self.text)} characters, {len(self.spans)} span{plural}{covers})"

    def _repr_html_(self) -> str:
        return f"<b>{escape(self.id)}</b>{html_note(self.text, self.spans)}"

    @property
    def labels(self) -> frozenset[str]:
        """The labels that occur among the spans."""
        return frozenset(span.label for span in self.spans)

    def mention(self, span: Span) -> str:
        """The characters of a span; the fragments of a discontinuous one joined by a space."""
        if span.fragments:
            return " ".join(self.text[start:end] for start, end in span.fragments)
        return self.text[span.start : span.end]

    def covers_label(self, label: str) -> bool:
        """Whether `label` was looked for in this document."""
        return self.covers is None or label in self.covers

    def with_spans(self, spans: Iterable[Span], covers: Iterable[str] | None = None) -> Document:
        """The same note with other spans and another `covers`."""
        return replace(self, spans=tuple(spans), covers=None if covers is None else frozenset(covers))

    def without_spans(self) -> Document:
        """The bare note: no spans, nothing covered claimed (``covers=None``)."""
        return self.with_spans(())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, one line of our JSON lines format."""
        out: dict[str, Any] = {
            "id": self.id,
            "text": self.text,
            "spans": [span.to_dict() for span in self.spans],
        }
        if self.covers is not None:
            out["covers"] = sorted(self.covers)
        if self.meta:
            out["meta"] = dict(self.meta)
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Document:
        """Inverse of :meth:`to_dict`. Keys that are not ours go into `meta`.

        Raises:
            SpanError: if a field is missing or of the wrong kind, or a span does not fit.
        """
        for name in ("id", "text"):
            if not isinstance(data.get(name), str):
                raise SpanError(f"a document needs {name!r}, a string")
        spans, covers, meta = data.get("spans") or (), data.get("covers"), data.get("meta") or {}
        if not isinstance(spans, (list, tuple)) or not all(isinstance(span, Mapping) for span in spans):
            raise SpanError("a document's spans must be a list of objects with start, end and label")
        if covers is not None and not (
            isinstance(covers, (list, tuple)) and all(isinstance(label, str) for label in covers)
        ):
            raise SpanError("a document's covers must be a list of labels, or absent for all")
        if not isinstance(meta, Mapping):
            raise SpanError("a document's meta must be an object")
        extra = {key: value for key, value in data.items() if key not in _FIELDS}
        return cls(
            data["id"],
            data["text"],
            tuple(Span.from_dict(span) for span in spans),
            None if covers is None else frozenset(covers),
            {**extra, **meta},
        )


_FIELDS = {"id", "text", "spans", "covers", "meta"}


def document_key(document: Document) -> str:
    """What a label store knows a document by: SHA-256 (32 hexadecimal digits) of its id and text.

    >>> document_key(Document("n1", "On metformin.")) == document_key(Document("n1", "On metformin"))
    False
    """
    name, text = (part.encode("utf-8", "surrogatepass") for part in (document.id, document.text))
    return hashlib.sha256(b"%d:%b%b" % (len(name), name, text)).hexdigest()[:32]
